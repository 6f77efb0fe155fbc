//! Sets of completion indexes and their text: `1,3-5`.

use std::collections::BTreeSet;
use std::fmt;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Indexes(BTreeSet<i32>);

impl Indexes {
    /// What the text says, below a limit; parts that are none are left out.
    pub fn parse(text: &str, below: i32) -> Indexes {
        let mut all = BTreeSet::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            if let (Ok(first), Ok(last)) = (first.parse::<i32>(), last.parse::<i32>()) {
                all.extend(first.max(0)..=last.min(below - 1));
            }
        }
        Indexes(all)
    }

    pub fn len(&self) -> i32 {
        self.0.len() as i32
    }

    pub fn has(&self, index: i32) -> bool {
        self.0.contains(&index)
    }

    /// Whether it was not there yet.
    pub fn add(&mut self, index: i32) -> bool {
        self.0.insert(index)
    }

    pub fn iter(&self) -> impl Iterator<Item = i32> {
        self.0.iter().copied()
    }
}

impl fmt::Display for Indexes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut runs: Vec<(i32, i32)> = Vec::new();
        for index in self.iter() {
            match runs.last_mut() {
                Some((_, last)) if *last + 1 == index => *last = index,
                _ => runs.push((index, index)),
            }
        }
        let runs = runs.into_iter().map(|(first, last)| match last - first {
            0 => first.to_string(),
            1 => format!("{first},{last}"),
            _ => format!("{first}-{last}"),
        });
        f.write_str(&runs.collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_written_short_and_read_back() {
        for text in ["", "3", "1,2", "0-2", "1,3-5,7,9,10"] {
            assert_eq!(Indexes::parse(text, 100).to_string(), text);
        }
        assert_eq!(Indexes::parse("1-9,x,4", 5).to_string(), "1-4");
    }
}
