//! From text to an amount.

use super::{Format, NANO, Quantity, QuantityError, rescale};

/// Digits of a mantissa up to which Kubernetes takes its fast path, which keeps some texts unchanged.
const FAST_DIGITS: i32 = 18;

/// The pieces of a text: `-12.50Mi` is not positive, `12`, `50`, `Mi`.
struct Pieces<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    suffix: &'a str,
}

struct Suffix {
    binary: bool,
    exponent: i32,
    format: Format,
}

pub(super) fn parse(text: &str) -> Result<Quantity, QuantityError> {
    if text.is_empty() {
        return Err(QuantityError::Format);
    }
    if text == "0" {
        return Ok(Quantity { text: Some("0".into()), ..Quantity::ZERO });
    }
    let pieces = split(text)?;
    let suffix = suffix(pieces.suffix).ok_or(QuantityError::Suffix)?;
    let (mantissa, scale) = number(&pieces)?;
    let (mantissa, scale, mut format) = match suffix.binary {
        false => (mantissa, scale.saturating_add(suffix.exponent), suffix.format),
        true => (mantissa.checked_mul(1 << suffix.exponent).ok_or(QuantityError::Numeric)?, scale, suffix.format),
    };
    let (mut mantissa, scale) = if scale < NANO { (rescale(mantissa, scale, NANO).0, NANO) } else { (mantissa, scale) };
    if suffix.binary {
        let most = rescale(i64::MAX as i128, 0, scale).0;
        mantissa = mantissa.min(most);
        if mantissa > 0 && rescale(1, 0, scale).0 > mantissa {
            format = Format::DecimalSi;
        }
    }
    let kept = keeps_text(&pieces, &suffix).then(|| text.into());
    let mantissa = if pieces.negative { -mantissa } else { mantissa };
    let scale = if mantissa == 0 { 0 } else { scale };
    Ok(Quantity { mantissa, scale, format, text: kept })
}

fn split(text: &str) -> Result<Pieces<'_>, QuantityError> {
    let (negative, rest) = match text.as_bytes()[0] {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let rest = rest.trim_start_matches('0');
    let (whole, rest) = rest.split_at(digits(rest));
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(digits(rest)),
        None => ("", rest),
    };
    let letters = rest.bytes().take_while(|byte| b"eEinumkKMGTP".contains(byte)).count();
    let tail = &rest[letters..];
    let tail = tail.strip_prefix(['+', '-']).unwrap_or(tail);
    if digits(tail) != tail.len() {
        return Err(QuantityError::Format);
    }
    // a sign alone is not told apart from zero by Kubernetes either
    Ok(Pieces { negative, whole: if whole.is_empty() { "0" } else { whole }, fraction, suffix: rest })
}

fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

fn number(pieces: &Pieces<'_>) -> Result<(i128, i32), QuantityError> {
    let mut mantissa: i128 = 0;
    for digit in pieces.whole.bytes() {
        mantissa = push(mantissa, digit).ok_or(QuantityError::Numeric)?;
    }
    let mut scale = 0;
    for (number, digit) in pieces.fraction.bytes().enumerate() {
        match push(mantissa, digit) {
            Some(longer) => (mantissa, scale) = (longer, scale - 1),
            // what does not fit is below a billionth by far: it only rounds up
            None if scale < 2 * NANO => {
                if pieces.fraction.as_bytes()[number..].iter().any(|digit| *digit != b'0') {
                    mantissa += 1;
                }
                break;
            }
            None => return Err(QuantityError::Numeric),
        }
    }
    Ok((mantissa, scale))
}

fn push(mantissa: i128, digit: u8) -> Option<i128> {
    mantissa.checked_mul(10)?.checked_add((digit - b'0') as i128)
}

fn suffix(text: &str) -> Option<Suffix> {
    let decimal = |exponent| Some(Suffix { binary: false, exponent, format: Format::DecimalSi });
    let binary = |exponent| Some(Suffix { binary: true, exponent, format: Format::BinarySi });
    match text {
        "n" => decimal(-9),
        "u" => decimal(-6),
        "m" => decimal(-3),
        "" => decimal(0),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(10),
        "Mi" => binary(20),
        "Gi" => binary(30),
        "Ti" => binary(40),
        "Pi" => binary(50),
        "Ei" => binary(60),
        _ => {
            let exponent = text.strip_prefix(['e', 'E'])?.parse::<i64>().ok()?;
            let exponent = i32::try_from(exponent).ok().filter(|exponent| exponent.abs() < 1 << 20)?;
            Some(Suffix { binary: false, exponent, format: Format::DecimalExponent })
        }
    }
}

/// Whether Kubernetes prints the text as it was written: a short one that is canonical, or nearly so (`1.001` and `+5` are kept too).
fn keeps_text(pieces: &Pieces<'_>, suffix: &Suffix) -> bool {
    let places = (pieces.whole.len() + pieces.fraction.len()) as i32;
    let last = |text: &str| text.bytes().last().unwrap_or(b'0');
    if suffix.binary {
        let room = 15 - pieces.whole.len() as i32 - suffix.exponent * 3 / 10 - 1;
        let low = pieces.whole.parse::<i64>().is_ok_and(|value| value & 7 != 0);
        return pieces.fraction.is_empty() && room >= 0 && low && last(pieces.whole).is_ascii_digit();
    }
    let scale = suffix.exponent - pieces.fraction.len() as i32;
    let ends_in_zeros = match pieces.fraction.len() {
        0 => pieces.whole.ends_with("000"),
        1 => pieces.whole.ends_with("00") && pieces.fraction == "0",
        2 => pieces.whole.ends_with('0') && pieces.fraction == "00",
        _ => pieces.fraction.ends_with("000"),
    };
    places <= FAST_DIGITS && scale >= NANO && scale % 3 == 0 && !ends_in_zeros && !pieces.whole.starts_with('0')
}
