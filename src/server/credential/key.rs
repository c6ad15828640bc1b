//! What the credentials have in common that are one secret key: made by one macro, so that none of them tells its text.

/// Makes a credential out of one key. `$check` is what its text must be, `$carry` what a request carries, `$probe` what verifies it.
macro_rules! keys {
    ($($(#[$doc:meta])* $name:ident {
        what: $what:literal, variable: $variable:literal, begins: $begins:expr, carry: $carry:expr, probe: $probe:expr,
    })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name($crate::server::credential::rotating::Rotating);

        impl $name {
            #[doc = concat!("The ", $what, " itself: one to 1024 visible ASCII characters.")]
            ///
            /// # Errors
            /// [`crate::ErrorKind::Invalid`] that says what is wrong, without the key.
            pub fn new(key: impl Into<String>) -> $crate::Result<Self> {
                // From here on the text is overwritten when it is dropped, a refused one too.
                let key = zeroize::Zeroizing::new(key.into());
                Self::check(&key)?;
                let key = $crate::server::SecretText::new(key.as_str())?;
                Ok(Self($crate::server::credential::rotating::Rotating::given(&key)))
            }

            #[doc = concat!("The ", $what, " that a source gives, which may give another one later: nothing restarts for a rotation.")]
            #[must_use]
            pub fn from_source(source: impl $crate::server::SecretSource) -> Self {
                Self($crate::server::credential::rotating::Rotating::from_source(std::sync::Arc::new(source), Self::check))
            }

            fn check(key: &str) -> $crate::Result<()> {
                $crate::server::secret::check($what, key, 1024)?;
                $crate::server::secret::check_swapped($what, key, $begins)
            }

            pub(in $crate::server) fn read(environment: $crate::server::env::Environment<'_>) -> $crate::Result<Self> {
                environment.secret($variable, Self::check).map(Self)
            }
        }

        $crate::server::env::from_environment!($name, $variable);

        impl $crate::server::credential::Sealed for $name {
            fn authorization<'a>(
                &'a self,
                target: $crate::server::credential::Target<'a>,
                refused: &'a [$crate::server::credential::SecretId],
            ) -> $crate::server::BoxFuture<'a, $crate::Result<Option<$crate::server::credential::Authorization>>> {
                Box::pin(self.0.authorize(target, refused, $carry))
            }

            fn probes(&self) -> $crate::Result<Vec<$crate::server::credential::Probe>> {
                Ok(vec![$probe])
            }
        }

        impl $crate::server::credential::Credential for $name {}
        impl $crate::server::credential::CanVerify for $name {}
    )*};
}

pub(super) use keys;
