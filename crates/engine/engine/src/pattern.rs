//! The regular expressions of `name` and `id` filters: characters, `.`, classes, groups, alternatives, repetition and anchors.

use crate::error::{Error, Result};

/// Longest pattern that is taken.
const LONGEST: usize = 1024;
/// Steps after which a pattern counts as not matching: nested repetition can take for ever.
const STEPS: u32 = 100_000;

/// A pattern that is looked for anywhere in a text.
pub struct Pattern(Vec<Vec<Item>>);

struct Item {
    what: What,
    least: usize,
    most: usize,
}

enum What {
    One(char),
    Any,
    Class { negated: bool, ranges: Vec<(char, char)> },
    Group(Vec<Vec<Item>>),
    Start,
    End,
}

impl Pattern {
    pub fn new(text: &str) -> Result<Pattern> {
        let invalid = || Error::invalid(format!("invalid filter: {text:?} is not a regular expression"));
        if text.len() > LONGEST {
            return Err(invalid());
        }
        let mut parser = Parser { rest: text.chars().collect(), at: 0, depth: 0 };
        let alternatives = parser.alternatives().ok_or_else(invalid)?;
        if parser.at < parser.rest.len() { Err(invalid()) } else { Ok(Pattern(alternatives)) }
    }

    /// Whether it fits somewhere.
    pub fn is_in(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        let mut matcher = Matcher { text: &text, steps: 0 };
        (0..=text.len()).any(|at| self.0.iter().any(|items| matcher.sequence(items, at, &mut |_, _| true)))
    }
}

struct Parser {
    rest: Vec<char>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> Option<char> {
        self.rest.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        Some(c)
    }

    fn alternatives(&mut self) -> Option<Vec<Vec<Item>>> {
        let mut all = vec![Vec::new()];
        while let Some(c) = self.peek() {
            match c {
                '|' => {
                    self.at += 1;
                    all.push(Vec::new());
                }
                ')' => break,
                _ => {
                    let what = self.what()?;
                    let (least, most) = self.repetition();
                    all.last_mut()?.push(Item { what, least, most });
                }
            }
        }
        Some(all)
    }

    fn what(&mut self) -> Option<What> {
        Some(match self.next()? {
            '.' => What::Any,
            '^' => What::Start,
            '$' => What::End,
            '[' => self.class()?,
            '(' => {
                self.depth += 1;
                if self.depth > 32 {
                    return None;
                }
                if self.rest[self.at..].starts_with(&['?', ':']) {
                    self.at += 2;
                }
                let group = self.alternatives()?;
                self.depth -= 1;
                (self.next()? == ')').then_some(What::Group(group))?
            }
            '\\' => match self.next()? {
                'd' => What::Class { negated: false, ranges: vec![('0', '9')] },
                'w' => What::Class { negated: false, ranges: vec![('0', '9'), ('a', 'z'), ('A', 'Z'), ('_', '_')] },
                's' => What::Class { negated: false, ranges: vec![(' ', ' '), ('\t', '\r')] },
                c if c.is_ascii_alphanumeric() => return None,
                c => What::One(c),
            },
            '*' | '+' | '?' => return None,
            c => What::One(c),
        })
    }

    fn class(&mut self) -> Option<What> {
        let negated = self.peek()? == '^';
        self.at += usize::from(negated);
        let mut ranges = Vec::new();
        loop {
            let first = match self.next()? {
                ']' if !ranges.is_empty() => return Some(What::Class { negated, ranges }),
                '\\' => self.next()?,
                c => c,
            };
            let is_range = self.peek()? == '-' && self.rest.get(self.at + 1).is_some_and(|c| *c != ']');
            let last = if is_range {
                self.at += 1;
                self.next()?
            } else {
                first
            };
            ranges.push((first, last));
        }
    }

    fn repetition(&mut self) -> (usize, usize) {
        let bounds = match self.peek() {
            Some('*') => (0, usize::MAX),
            Some('+') => (1, usize::MAX),
            Some('?') => (0, 1),
            _ => return (1, 1),
        };
        self.at += 1;
        // Whether it is greedy makes no difference to whether it fits.
        self.at += usize::from(self.peek() == Some('?'));
        bounds
    }
}

struct Matcher<'a> {
    text: &'a [char],
    steps: u32,
}

/// What comes after a part that fitted up to an offset.
type After<'a, 'm> = &'a mut dyn FnMut(&mut Matcher<'m>, usize) -> bool;

impl<'m> Matcher<'m> {
    fn sequence(&mut self, items: &[Item], at: usize, after: After<'_, 'm>) -> bool {
        match items.split_first() {
            None => after(self, at),
            Some((item, rest)) => self.repeat(item, 0, at, &mut |matcher, at| matcher.sequence(rest, at, after)),
        }
    }

    fn repeat(&mut self, item: &Item, done: usize, at: usize, after: After<'_, 'm>) -> bool {
        self.steps += 1;
        if self.steps > STEPS {
            return false;
        }
        if done < item.most {
            let again = self.one(&item.what, at, &mut |matcher, next| {
                // What fitted nothing would fit nothing for ever.
                (next > at || done < item.least) && matcher.repeat(item, done + 1, next, after)
            });
            if again {
                return true;
            }
        }
        done >= item.least && after(self, at)
    }

    fn one(&mut self, what: &What, at: usize, after: After<'_, 'm>) -> bool {
        let fits = |fits: fn(char, &What) -> bool| self.text.get(at).is_some_and(|c| fits(*c, what));
        match what {
            What::Start => at == 0 && after(self, at),
            What::End => at == self.text.len() && after(self, at),
            What::One(_) | What::Any | What::Class { .. } => fits(is) && after(self, at + 1),
            What::Group(alternatives) => alternatives.iter().any(|items| self.sequence(items, at, after)),
        }
    }
}

fn is(c: char, what: &What) -> bool {
    match what {
        What::One(wanted) => c == *wanted,
        What::Any => c != '\n',
        What::Class { negated, ranges } => ranges.iter().any(|(first, last)| (*first..=*last).contains(&c)) != *negated,
        What::Group(_) | What::Start | What::End => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_as_in_other_engines() {
        for (pattern, text, expected) in [
            ("web", "my-web-1", true),
            ("^web", "my-web", false),
            ("^/?web$", "web", true),
            ("^/?web$", "/web", true),
            ("^/?web$", "web2", false),
            ("web.*1", "web-a-1", true),
            ("w[a-f]b", "web", true),
            ("w[^a-f]b", "web", false),
            ("(foo|bar)+x", "foobarx", true),
            ("^(foo|bar)$", "foobar", false),
            ("a\\.b", "a.b", true),
            ("a\\.b", "axb", false),
            ("\\d+$", "web12", true),
            ("", "anything", true),
            ("(a*)*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false),
        ] {
            assert_eq!(Pattern::new(pattern).unwrap().is_in(text), expected, "{pattern} {text}");
        }
        for bad in ["(", ")", "[", "*a", "a\\", "\\q"] {
            assert!(Pattern::new(bad).is_err(), "{bad}");
        }
    }
}
