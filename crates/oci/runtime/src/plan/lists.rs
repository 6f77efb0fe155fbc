//! Lists of numbers as the kernel writes them: `0-3,7`.

/// The numbers of a list, each less than `end`.
pub(crate) fn numbers(list: &str, end: usize) -> Result<Vec<usize>, &'static str> {
    let mut numbers = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return Err("has a range that ends before it begins");
        }
        if last >= end {
            return Err("has a number that is too high");
        }
        numbers.extend(first..=last);
    }
    Ok(numbers)
}

fn number(text: &str) -> Result<usize, &'static str> {
    text.trim().parse().map_err(|_| "is no list of numbers such as 0-3,7")
}

#[cfg(test)]
mod tests {
    use super::numbers;

    #[test]
    fn ranges_and_single_numbers_are_read_and_nonsense_is_refused() {
        assert_eq!(numbers("0-2,7", 8).unwrap(), [0, 1, 2, 7]);
        for list in ["", ",", "3-1", "8", "a", "-1", "1-", "0-99999999999999999999"] {
            assert!(numbers(list, 8).is_err(), "{list:?}");
        }
    }
}
