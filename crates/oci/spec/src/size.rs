//! Sizes in docker's notation, as flags about memory have them.

/// Bytes of `64m`, `1.5GiB`, or a number without a unit. Units are binary, as docker reads them.
pub fn parse(text: &str) -> Result<i64, String> {
    let invalid = || format!("invalid size: '{text}'");
    let lower = text.trim().to_lowercase();
    let end = lower.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(lower.len());
    let number: f64 = lower[..end].parse().map_err(|_| invalid())?;
    let unit = lower[end..].trim();
    let unit = unit.strip_suffix("ib").or(unit.strip_suffix('b')).unwrap_or(unit);
    let shift = ["", "k", "m", "g", "t", "p"].iter().position(|known| *known == unit).ok_or_else(invalid)?;
    Ok((number * 1024f64.powi(shift as i32)) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_binary_units() {
        for (text, bytes) in
            [("64m", 64 << 20), ("1g", 1 << 30), ("1.5KiB", 1536), ("512", 512), ("6MB", 6 << 20), ("10b", 10)]
        {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        assert_eq!(parse("12x"), Err("invalid size: '12x'".into()));
        assert_eq!(parse(""), Err("invalid size: ''".into()));
    }
}
