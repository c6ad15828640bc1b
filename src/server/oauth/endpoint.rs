//! Which addresses an authorization server may have.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

use super::AuthError;
use crate::{Error, Result, platform::http};

/// What the endpoints of an issuer may be, and the issuers of a resource.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// Plain http on loopback, because the issuer is so itself: an emulator on this machine.
    loopback_http: bool,
    /// Addresses of this machine or of a private network, because the issuer is there itself.
    private: bool,
}

impl Rules {
    pub(super) fn of(issuer: &Url) -> Self {
        Self { loopback_http: issuer.scheme() == "http", private: is_private(issuer) }
    }

    /// Reads an endpoint; `what` is its name in the metadata.
    pub(super) fn endpoint(self, what: &'static str, url: &str) -> Result<Url, AuthError> {
        let url = https_or_loopback(what, url)?;
        if url.scheme() == "http" && !self.loopback_http {
            return Err(AuthError::Insecure { what });
        }
        if is_private(&url) && !self.private {
            return Err(invalid(what, "is at a private address, but its issuer is not"));
        }
        if url.fragment().is_some() {
            return Err(invalid(what, "must have no fragment"));
        }
        Ok(url)
    }
}

/// Reads an issuer (RFC 8414 §2): an address without query and fragment.
pub(super) fn issuer(text: &str) -> Result<Url, AuthError> {
    let url = verbatim("issuer", text)?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(invalid("issuer", "must have neither query nor fragment"));
    }
    Ok(url)
}

/// As [`https_or_loopback`], of what is compared or sent on as it was given: the parser takes white space off or out in silence.
pub(super) fn verbatim(what: &'static str, text: &str) -> Result<Url, AuthError> {
    if text.contains(|char: char| char.is_control() || char.is_whitespace()) {
        return Err(invalid(what, "holds white space or a control character"));
    }
    https_or_loopback(what, text)
}

/// https, or http on a loopback address.
pub(super) fn https_or_loopback(what: &'static str, text: &str) -> Result<Url, AuthError> {
    let url = Url::parse(text).map_err(|error| AuthError::Invalid(Error::at(what, "is not a URL").with_source(error)))?;
    match http::check_url(what, &url) {
        Ok(()) => Ok(url),
        Err(_) if url.scheme() == "http" => Err(AuthError::Insecure { what }),
        Err(error) => Err(AuthError::Invalid(error)),
    }
}

/// Reads the name of a host that tokens may be sent to.
pub(crate) fn host_name(text: &str) -> Result<String> {
    let host = Host::parse(text).map_err(|_| Error::at("host", "is not the name of one, without scheme, port and path"))?;
    Ok(host.to_string())
}

fn invalid(what: &'static str, problem: &str) -> AuthError {
    AuthError::Invalid(Error::at(what, problem))
}

/// Whether the address names a place that is not of the public network. Names are not looked up: what they lead to must show a certificate for
/// them anyway.
fn is_private(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            name == "localhost" || [".localhost", ".local", ".internal"].iter().any(|end| name.ends_with(end))
        }
        Some(Host::Ipv4(address)) => is_private_address(address.into()),
        Some(Host::Ipv6(address)) => is_private_address(address.into()),
        None => true,
    }
}

fn is_private_address(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [first, second, ..] = address.octets();
            address.is_loopback()
                || address.is_private()
                || address.is_link_local()
                || address.is_broadcast()
                || address.is_documentation()
                || address.is_multicast()
                // "This network", shared address space (RFC 6598), benchmarking (RFC 2544), reserved.
                || first == 0
                || first == 100 && second & 0xc0 == 64
                || first == 198 && second & 0xfe == 18
                || first >= 240
        }
        IpAddr::V6(address) => {
            address.is_loopback()
                || address.is_unspecified()
                || address.is_multicast()
                || address.is_unique_local()
                || address.is_unicast_link_local()
                || embedded(address).is_some_and(|address| is_private_address(address.into()))
        }
    }
}

/// An IPv4 address within one of IPv6: mapped, or behind a translator (NAT64, 6to4).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let segments = address.segments();
    let join = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match segments {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(join(high, low)),
        [0x2002, high, low, ..] => Some(join(high, low)),
        _ => address.to_ipv4_mapped(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t_a9_the_endpoints_of_a_public_issuer_are_https_and_public() {
        let rules = Rules::of(&issuer("https://mcp.amplitude.com").unwrap());
        for good in
            ["https://mcp.amplitude.com/token", "https://elsewhere.example/token?a=b", "https://8.8.8.8/", "https://[2606::1]/"]
        {
            assert!(rules.endpoint("token_endpoint", good).is_ok(), "{good}");
        }
        for insecure in ["http://mcp.amplitude.com/token", "http://127.0.0.1/token", "http://localhost/token"] {
            let error = rules.endpoint("token_endpoint", insecure).unwrap_err();
            assert!(matches!(error, AuthError::Insecure { what: "token_endpoint" }), "{insecure}: {error}");
        }
        for private in [
            "https://localhost/",
            "https://localhost./",
            "https://a.localhost/",
            "https://printer.local/",
            "https://metadata.google.internal/",
            "https://127.0.0.1/",
            "https://10.0.0.1/",
            "https://192.168.1.1/",
            "https://172.16.0.1/",
            "https://169.254.169.254/",
            "https://100.64.0.1/",
            "https://0.0.0.0/",
            "https://198.18.0.1/",
            "https://255.255.255.255/",
            "https://2130706433/",
            "https://[::1]/",
            "https://[::]/",
            "https://[fe80::1]/",
            "https://[fd00::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://[64:ff9b::a00:1]/",
            "https://[2002:7f00:1::]/",
        ] {
            let error = rules.endpoint("token_endpoint", private).unwrap_err();
            assert!(error.to_string().contains("private address"), "{private}: {error}");
        }
        for bad in ["", "token", "ftp://a.b/", "https://user:pass@a.b/", "https://a.b/#x"] {
            let error = rules.endpoint("token_endpoint", bad).unwrap_err();
            assert!(matches!(error, AuthError::Invalid(_)) && !error.to_string().contains("pass@"), "{bad}: {error}");
        }
    }

    #[test]
    fn an_address_is_what_it_was_given_as() {
        for bad in [
            "https://a.example\n",
            " https://a.example",
            "https://a.\texample",
            "https://a.example/\0x",
            "https://a.example/\u{a0}",
        ] {
            let error = issuer(bad).unwrap_err();
            assert!(error.to_string().contains("issuer: holds white space or a control character"), "{bad:?}: {error}");
        }
    }

    #[test]
    fn an_issuer_on_this_machine_may_have_its_endpoints_there() {
        let rules = Rules::of(&issuer("http://127.0.0.1:8787/mcp").unwrap());
        assert!(rules.endpoint("token_endpoint", "http://localhost:8787/token").is_ok());
        assert!(matches!(rules.endpoint("token_endpoint", "http://10.0.0.1/token"), Err(AuthError::Insecure { .. })));
        // Over TLS, plain http is a step back.
        let rules = Rules::of(&issuer("https://127.0.0.1:8787").unwrap());
        assert!(rules.endpoint("token_endpoint", "https://127.0.0.1:9/token").is_ok());
        assert!(matches!(rules.endpoint("token_endpoint", "http://127.0.0.1:9/token"), Err(AuthError::Insecure { .. })));
        for bad in ["https://a.b/?x", "https://a.b/#x", "a.b", "file:///a"] {
            assert!(issuer(bad).is_err(), "{bad}");
        }
        assert!(matches!(issuer("http://mcp.amplitude.com"), Err(AuthError::Insecure { what: "issuer" })));
    }
}
