//! What a property's value can be, and how it becomes JSON.

use crate::{
    event::{Properties, scan::is_long},
    json, platform,
};

/// A value of a property: text, numbers, booleans, `Option` (`None` is null), lists of these, and [`Properties`] for nested objects.
///
/// Numbers must be finite; times are text in ISO 8601. Implemented by this crate alone.
pub trait PropertyValue: Sealed {}

/// Keeps [`PropertyValue`] to the types that JSON has.
pub trait Sealed {
    /// Writes the value; what is wrong with it is kept by the writer.
    #[doc(hidden)]
    fn write(&self, out: &mut ValueWriter<'_>);
}

/// Writes one value and remembers what a caller must know of it.
#[doc(hidden)]
#[derive(Debug)]
pub struct ValueWriter<'a> {
    text: &'a mut String,
    level: usize,
    deepest: usize,
    long_strings: u32,
    problem: Option<&'static str>,
}

impl<'a> ValueWriter<'a> {
    pub(crate) fn new(text: &'a mut String) -> Self {
        Self { text, level: 0, deepest: 0, long_strings: 0, problem: None }
    }

    /// Containers inside each other in this value.
    pub(crate) fn deepest(&self) -> usize {
        self.deepest
    }

    pub(crate) fn long_strings(&self) -> u32 {
        self.long_strings
    }

    pub(crate) fn problem(&self) -> Option<&'static str> {
        self.problem
    }

    fn string(&mut self, text: &str) {
        self.long_strings += u32::from(is_long(text));
        json::push_string(self.text, text);
    }

    fn float(&mut self, value: f64) {
        if value.is_finite() {
            platform::push_number(self.text, value);
        } else {
            self.problem = Some("is not a finite number, which JSON cannot hold");
        }
    }

    fn list<T: Sealed>(&mut self, items: &[T]) {
        self.level += 1;
        self.deepest = self.deepest.max(self.level);
        self.text.push('[');
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.text.push(',');
            }
            item.write(self);
        }
        self.text.push(']');
        self.level -= 1;
    }
}

/// A number, for operations that take nothing else.
pub trait Number: PropertyValue {}

macro_rules! numbers {
    ($($type:ty),*) => {$(impl Number for $type {})*};
}

numbers!(f32, f64, i8, i16, i32, i64, isize, u8, u16, u32, u64, usize);

macro_rules! values {
    ($($type:ty, $value:ident, $out:ident => $write:expr;)*) => {$(
        impl PropertyValue for $type {}
        impl Sealed for $type {
            #[inline]
            fn write(&self, $out: &mut ValueWriter<'_>) {
                let $value = self;
                $write;
            }
        }
    )*};
}

values! {
    str, value, out => out.string(value);
    String, value, out => out.string(value);
    std::borrow::Cow<'_, str>, value, out => out.string(value);
    bool, value, out => out.text.push_str(if *value { "true" } else { "false" });
    f32, value, out => out.float(f64::from(*value));
    f64, value, out => out.float(*value);
    i8, value, out => json::push_integer(out.text, i64::from(*value));
    i16, value, out => json::push_integer(out.text, i64::from(*value));
    i32, value, out => json::push_integer(out.text, i64::from(*value));
    i64, value, out => json::push_integer(out.text, *value);
    isize, value, out => json::push_integer(out.text, *value as i64);
    u8, value, out => json::push_unsigned(out.text, u64::from(*value));
    u16, value, out => json::push_unsigned(out.text, u64::from(*value));
    u32, value, out => json::push_unsigned(out.text, u64::from(*value));
    u64, value, out => json::push_unsigned(out.text, *value);
    usize, value, out => json::push_unsigned(out.text, *value as u64);
}

impl<T: PropertyValue + ?Sized> PropertyValue for &T {}
impl<T: Sealed + ?Sized> Sealed for &T {
    #[inline]
    fn write(&self, out: &mut ValueWriter<'_>) {
        (**self).write(out);
    }
}

impl<T: PropertyValue> PropertyValue for Option<T> {}
impl<T: Sealed> Sealed for Option<T> {
    fn write(&self, out: &mut ValueWriter<'_>) {
        match self {
            Some(value) => value.write(out),
            None => out.text.push_str("null"),
        }
    }
}

impl<T: PropertyValue> PropertyValue for [T] {}
impl<T: Sealed> Sealed for [T] {
    fn write(&self, out: &mut ValueWriter<'_>) {
        out.list(self);
    }
}

impl<T: PropertyValue, const N: usize> PropertyValue for [T; N] {}
impl<T: Sealed, const N: usize> Sealed for [T; N] {
    fn write(&self, out: &mut ValueWriter<'_>) {
        out.list(self);
    }
}

impl<T: PropertyValue> PropertyValue for Vec<T> {}
impl<T: Sealed> Sealed for Vec<T> {
    fn write(&self, out: &mut ValueWriter<'_>) {
        out.list(self);
    }
}

impl PropertyValue for Properties {}
impl Sealed for Properties {
    fn write(&self, out: &mut ValueWriter<'_>) {
        let object = &self.0;
        out.text.push('{');
        out.text.push_str(object.text());
        out.text.push('}');
        out.deepest = out.deepest.max(out.level + object.depth());
        out.long_strings += object.long_strings();
    }
}
