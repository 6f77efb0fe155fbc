//! Amounts such as `500m`, `1.5Gi` or `12e6`: exact decimal arithmetic, and Kubernetes' canonical text.

mod parse;
mod print;
#[cfg(test)]
mod tests;

use serde_json::Value;
use std::cmp::Ordering;

/// Which suffixes an amount is printed with. An amount remembers the one it was written with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `n u m k M G T P E`
    DecimalSi,
    /// `Ki Mi Gi Ti Pi Ei`
    BinarySi,
    /// `e3`
    DecimalExponent,
}

/// An amount: `mantissa * 10^scale`, to the billionth at most. Equality and order are those of the number.
#[derive(Clone, Debug)]
pub struct Quantity {
    mantissa: i128,
    scale: i32,
    format: Format,
    /// The text it was parsed from, when that is printed unchanged.
    text: Option<Box<str>>,
}

/// Why a text is not an amount, in Kubernetes' words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Format,
    #[error("unable to parse numeric part of quantity")]
    Numeric,
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

/// The finest scale that is kept: billionths.
const NANO: i32 = -9;

impl Quantity {
    /// Nothing.
    pub const ZERO: Self = Self { mantissa: 0, scale: 0, format: Format::DecimalSi, text: None };

    /// A whole number.
    pub const fn new(value: i64, format: Format) -> Self {
        Self { mantissa: value as i128, scale: 0, format, text: None }
    }

    /// A number of thousandths.
    pub const fn from_milli(value: i64, format: Format) -> Self {
        Self { mantissa: value as i128, scale: -3, format, text: None }
    }

    /// An amount from its text.
    ///
    /// # Errors
    /// When the text is no amount, or has more digits than a signed 128-bit number holds.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        parse::parse(text)
    }

    /// An amount as it is in JSON: a string, perhaps with white space around it, or a number. Null is nothing.
    ///
    /// # Errors
    /// As [`Quantity::parse`].
    pub fn from_value(value: &Value) -> Result<Self, QuantityError> {
        match value {
            Value::Null => Ok(Self::ZERO),
            Value::String(text) => Self::parse(text.trim()),
            Value::Number(number) => Self::parse(&number.to_string()),
            _ => Err(QuantityError::Format),
        }
    }

    /// How it is printed.
    pub const fn format(&self) -> Format {
        self.format
    }

    /// Whether it is nothing.
    pub const fn is_zero(&self) -> bool {
        self.mantissa == 0
    }

    /// -1, 0 or 1.
    pub const fn sign(&self) -> i32 {
        self.mantissa.signum() as i32
    }

    /// The whole number, rounded away from zero. What exceeds 64 bits becomes the greatest or least number.
    pub fn value(&self) -> i64 {
        self.scaled(0)
    }

    /// The number of thousandths, rounded away from zero and bounded as [`Quantity::value`].
    pub fn milli_value(&self) -> i64 {
        self.scaled(-3)
    }

    /// The number of `10^scale`, rounded away from zero and bounded as [`Quantity::value`].
    pub fn scaled(&self, scale: i32) -> i64 {
        let (whole, _) = rescale(self.mantissa, self.scale, scale);
        i64::try_from(whole).unwrap_or(if self.mantissa < 0 { i64::MIN } else { i64::MAX })
    }

    /// Whether it is a whole number of `10^scale`.
    pub fn is_exact(&self, scale: i32) -> bool {
        rescale(self.mantissa, self.scale, scale).1
    }

    /// As a floating-point number, approximately.
    pub fn to_f64(&self) -> f64 {
        self.mantissa as f64 * 10f64.powi(self.scale)
    }

    /// Adds another amount. Nothing takes over the other one's format.
    pub fn add(&mut self, other: &Self) {
        self.combine(other, i128::saturating_add);
    }

    /// Subtracts another amount. Nothing takes over the other one's format.
    pub fn sub(&mut self, other: &Self) {
        self.combine(other, i128::saturating_sub);
    }

    /// Multiplies by a whole number.
    pub fn mul(&mut self, by: i64) {
        self.mantissa = self.mantissa.saturating_mul(by as i128);
        self.text = None;
    }

    /// Changes the sign.
    pub fn neg(&mut self) {
        self.mantissa = self.mantissa.saturating_neg();
        self.text = None;
    }

    fn combine(&mut self, other: &Self, by: impl Fn(i128, i128) -> i128) {
        if self.is_zero() {
            (self.format, self.scale) = (other.format, other.scale);
        }
        self.text = None;
        if other.is_zero() {
            return;
        }
        let scale = self.scale.min(other.scale);
        let (mine, _) = rescale(self.mantissa, self.scale, scale);
        let (others, _) = rescale(other.mantissa, other.scale, scale);
        (self.mantissa, self.scale) = (by(mine, others), scale);
    }
}

/// The mantissa at another scale, rounded away from zero and bounded, and whether it is exact.
fn rescale(mantissa: i128, from: i32, to: i32) -> (i128, bool) {
    if mantissa == 0 || from == to {
        return (mantissa, true);
    }
    let bound = if mantissa < 0 { i128::MIN } else { i128::MAX };
    let power = power_of_ten(from.abs_diff(to));
    if from > to {
        return match power.and_then(|power| mantissa.checked_mul(power)) {
            Some(exact) => (exact, true),
            None => (bound, false),
        };
    }
    match power {
        None => (mantissa.signum(), false),
        Some(power) if mantissa % power == 0 => (mantissa / power, true),
        Some(power) => (mantissa / power + mantissa.signum(), false),
    }
}

const fn power_of_ten(exponent: u32) -> Option<i128> {
    10i128.checked_pow(exponent)
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        if self.sign() != other.sign() || self.is_zero() {
            return self.sign().cmp(&other.sign());
        }
        if self.scale == other.scale {
            return self.mantissa.cmp(&other.mantissa);
        }
        // the coarser one is brought to the finer scale; when that overflows it is the greater in magnitude
        let (coarse, fine, turned) = if self.scale > other.scale { (self, other, false) } else { (other, self, true) };
        let order = match power_of_ten(coarse.scale.abs_diff(fine.scale))
            .and_then(|power| coarse.mantissa.checked_mul(power))
        {
            Some(exact) => exact.cmp(&fine.mantissa),
            None if coarse.mantissa > 0 => Ordering::Greater,
            None => Ordering::Less,
        };
        if turned { order.reverse() } else { order }
    }
}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Quantity {}
