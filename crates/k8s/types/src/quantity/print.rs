//! From an amount to its canonical text: no fraction, the greatest suffix, no precision lost.

use super::{Format, Quantity, rescale};
use std::fmt;

impl fmt::Display for Quantity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(text) = &self.text {
            return out.write_str(text);
        }
        if self.is_zero() {
            return out.write_str("0");
        }
        match self.format {
            Format::BinarySi => match binary(self) {
                Some((number, suffix)) => write!(out, "{number}{suffix}"),
                // small or fractional: binary suffixes would lose precision
                None => decimal(self, Format::DecimalSi, out),
            },
            format => decimal(self, format, out),
        }
    }
}

fn binary(quantity: &Quantity) -> Option<(i128, &'static str)> {
    let (mut number, exact) = rescale(quantity.mantissa, quantity.scale, 0);
    if !exact || number.abs() < 1024 {
        return None;
    }
    let mut power = 0;
    while number % 1024 == 0 && power < 6 {
        number /= 1024;
        power += 1;
    }
    Some((number, ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"][power]))
}

fn decimal(quantity: &Quantity, format: Format, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (mut number, mut exponent) = (quantity.mantissa, quantity.scale);
    while number % 10 == 0 {
        number /= 10;
        exponent += 1;
    }
    let mut zeros = exponent.rem_euclid(3);
    exponent -= zeros;
    if format == Format::DecimalSi {
        // there is no suffix beyond E
        while exponent > 18 {
            exponent -= 3;
            zeros += 3;
        }
    }
    write!(out, "{number}{:0<zeros$}", "", zeros = zeros as usize)?;
    match format {
        Format::DecimalExponent if exponent == 0 => Ok(()),
        Format::DecimalExponent => write!(out, "e{exponent}"),
        _ => out.write_str(match exponent {
            -9 => "n",
            -6 => "u",
            -3 => "m",
            3 => "k",
            6 => "M",
            9 => "G",
            12 => "T",
            15 => "P",
            18 => "E",
            _ => "",
        }),
    }
}
