//! Schedules of cron jobs: five fields, or a word such as `@daily`.

/// What is wrong with a schedule, in the words of the parser that Kubernetes uses.
pub fn fault(schedule: &str) -> Option<String> {
    let mut text = schedule;
    for zone in ["TZ=", "CRON_TZ="] {
        if let Some(rest) = text.strip_prefix(zone) {
            text = rest.split_once(' ').map_or("", |(_, rest)| rest.trim());
        }
    }
    if text.is_empty() {
        return Some("empty spec string".to_owned());
    }
    if text.starts_with('@') {
        return word(text);
    }
    let fields: Vec<&str> = text.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        return Some(format!("expected exactly 5 fields, found {}: [{}]", fields.len(), fields.join(" ")));
    }
    FIELDS.iter().zip(fields).find_map(|(field, text)| text.split(',').find_map(|part| field.fault(part)))
}

fn word(text: &str) -> Option<String> {
    const WORDS: &[&str] = &["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];
    if WORDS.contains(&text) {
        return None;
    }
    if let Some(interval) = text.strip_prefix("@every ") {
        let parsed = interval.parse::<jiff::SignedDuration>().is_ok();
        return (!parsed).then(|| {
            format!("failed to parse duration {text}: time: invalid duration {}", crate::field::quote(interval))
        });
    }
    Some(format!("unrecognized descriptor: {text}"))
}

struct Field {
    least: u32,
    most: u32,
    names: &'static [&'static str],
}

const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

const FIELDS: [Field; 5] = [
    Field { least: 0, most: 59, names: &[] },
    Field { least: 0, most: 23, names: &[] },
    Field { least: 1, most: 31, names: &[] },
    Field { least: 1, most: 12, names: MONTHS },
    Field { least: 0, most: 6, names: DAYS },
];

impl Field {
    /// What is wrong with one part: `*`, `5`, `1-5`, `*/2`, `mon-fri/2`.
    fn fault(&self, part: &str) -> Option<String> {
        let steps: Vec<&str> = part.split('/').collect();
        let (range, step) = match steps.as_slice() {
            [range] => (*range, None),
            [range, step] => (*range, Some(*step)),
            _ => return Some(format!("too many slashes: {part}")),
        };
        let bounds: Vec<&str> = range.split('-').collect();
        let star = matches!(bounds[0], "*" | "?");
        let (start, mut end) = match bounds.as_slice() {
            _ if star => (self.least, self.most),
            [one] => match self.number(one) {
                Ok(number) => (number, number),
                Err(fault) => return Some(fault),
            },
            [first, last] => match (self.number(first), self.number(last)) {
                (Ok(first), Ok(last)) => (first, last),
                (Err(fault), _) | (_, Err(fault)) => return Some(fault),
            },
            _ => return Some(format!("too many hyphens: {part}")),
        };
        if let Some(step) = step {
            match number(step) {
                Ok(0) => return Some(format!("step of range should be a positive number: {part}")),
                Ok(_) => {}
                Err(fault) => return Some(fault),
            }
            if !star && bounds.len() == 1 {
                end = self.most;
            }
        }
        let (least, most) = (self.least, self.most);
        match () {
            () if start < least => Some(format!("beginning of range ({start}) below minimum ({least}): {part}")),
            () if end > most => Some(format!("end of range ({end}) above maximum ({most}): {part}")),
            () if start > end => Some(format!("beginning of range ({start}) beyond end of range ({end}): {part}")),
            () => None,
        }
    }

    fn number(&self, text: &str) -> Result<u32, String> {
        let lower = text.to_lowercase();
        match self.names.iter().position(|name| *name == lower) {
            Some(index) => Ok(index as u32 + self.least),
            None => number(text),
        }
    }
}

fn number(text: &str) -> Result<u32, String> {
    let fault = || {
        format!("failed to parse int from {text}: strconv.Atoi: parsing {}: invalid syntax", crate::field::quote(text))
    };
    match text.parse::<i64>() {
        Ok(number) if number < 0 => Err(format!("negative number ({number}) not allowed: {text}")),
        Ok(number) => u32::try_from(number).map_err(|_| fault()),
        Err(_) => Err(fault()),
    }
}
