//! When a cron job is due: five fields, or a word such as `@hourly`, in a time zone.
//!
//! Due is every minute whose local time the fields name. An hour that a clock skips has no such minutes; one that it repeats has them twice.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan, Zoned};

/// No schedule is looked for further ahead: there is none (30 February).
const YEARS: i16 = 9;

#[derive(Debug, Clone, PartialEq)]
pub enum Schedule {
    Every(Duration),
    Fields(Fields),
}

/// A bit for each number that is named.
#[derive(Debug, Clone, PartialEq)]
pub struct Fields {
    minute: u64,
    hour: u64,
    day: u64,
    month: u64,
    weekday: u64,
    /// Where days and days of the week are both named, either will do.
    either: bool,
}

const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl Schedule {
    /// Nothing, if the text is no schedule.
    pub fn parse(text: &str) -> Option<Schedule> {
        let text = text.trim();
        if let Some(interval) = text.strip_prefix("@every ") {
            let interval: Duration = interval.trim().parse::<SignedDuration>().ok()?.try_into().ok()?;
            return Some(Schedule::Every(Duration::from_secs(interval.as_secs().max(1))));
        }
        let text = match text {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            other => other,
        };
        let parts: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = parts.as_slice() else { return None };
        let ((day, any_day), (weekday, any_weekday)) = (field(day, 1, 31, &[])?, field(weekday, 0, 6, WEEKDAYS)?);
        Some(Schedule::Fields(Fields {
            minute: field(minute, 0, 59, &[])?.0,
            hour: field(hour, 0, 23, &[])?.0,
            day,
            month: field(month, 1, 12, MONTHS)?.0,
            weekday,
            either: !any_day && !any_weekday,
        }))
    }

    /// The first time after this one.
    pub fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        match self {
            Schedule::Every(interval) => {
                let whole = Timestamp::from_second(after.as_second()).ok()?;
                whole.checked_add(SignedDuration::try_from(*interval).ok()?).ok()
            }
            Schedule::Fields(fields) => fields.next(after, zone),
        }
    }

    /// The last time in `(after, until]`, and how many there were, counted up to a hundred and one.
    pub fn last(&self, after: Timestamp, until: Timestamp, zone: &TimeZone) -> Option<(Timestamp, usize)> {
        let times = |from: Timestamp| std::iter::successors(self.next(from, zone), |time| self.next(*time, zone));
        let due = |time: &Timestamp| *time <= until;
        let missed = times(after).take_while(due).take(101).count();
        if missed == 0 {
            return None;
        }
        // A schedule of minutes is not followed through a year: the last is looked for in ever longer times before the end.
        let minutes = [2, 60, 60 * 24, 60 * 24 * 32, 60 * 24 * 366, i64::MAX / 60 / 1000];
        let last = minutes.into_iter().find_map(|minutes| {
            let from = until.checked_sub(SignedDuration::from_mins(minutes)).unwrap_or(after).max(after);
            times(from).take_while(due).last()
        })?;
        Some((last, missed))
    }
}

impl Fields {
    fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let seconds = after.as_second().div_euclid(60).checked_add(1)?.checked_mul(60)?;
        let mut at = Timestamp::from_second(seconds).ok()?.to_zoned(zone.clone());
        // Offsets that are no whole minutes are long past.
        let last = at.year().checked_add(YEARS)?;
        while at.year() <= last {
            let has = |bits: u64, number: i8| bits & (1 << number) != 0;
            if !has(self.month, at.month()) {
                at = midnight(&at, zone, at.date().last_of_month().tomorrow().ok()?)?;
            } else if !self.on_day(&at) {
                at = midnight(&at, zone, at.date().tomorrow().ok()?)?;
            } else if !has(self.hour, at.hour()) {
                at = at.checked_add((60 - i64::from(at.minute())).minutes()).ok()?;
            } else if !has(self.minute, at.minute()) {
                at = at.checked_add(1.minute()).ok()?;
            } else {
                return Some(at.timestamp());
            }
        }
        None
    }

    fn on_day(&self, at: &Zoned) -> bool {
        let day = self.day & (1 << at.day()) != 0;
        let weekday = self.weekday & (1 << at.weekday().to_sunday_zero_offset()) != 0;
        if self.either { day || weekday } else { day && weekday }
    }
}

/// The first moment of a day, which is never before the one that was looked at.
fn midnight(at: &Zoned, zone: &TimeZone, day: jiff::civil::Date) -> Option<Zoned> {
    let next = day.to_zoned(zone.clone()).ok()?.start_of_day().ok()?;
    if next > *at { Some(next) } else { at.checked_add(1.hour()).ok() }
}

/// The bits of a field, and whether it names everything.
fn field(text: &str, least: u32, most: u32, names: &[&str]) -> Option<(u64, bool)> {
    let (mut bits, mut any) = (0, false);
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(step.parse::<u32>().ok().filter(|step| *step > 0)?)),
            None => (part, None),
        };
        let number = |text: &str| {
            let named = names.iter().position(|name| name.eq_ignore_ascii_case(text));
            named.map(|at| at as u32 + least).or_else(|| text.parse().ok())
        };
        let (first, last) = match range.split_once('-') {
            _ if matches!(range, "*" | "?") => (least, most),
            Some((first, last)) => (number(first)?, number(last)?),
            None if step.is_some() => (number(range)?, most),
            None => (number(range)?, number(range)?),
        };
        if first < least || last > most || first > last {
            return None;
        }
        any |= matches!(range, "*" | "?") && step.unwrap_or(1) == 1;
        bits |= (first..=last).step_by(step.unwrap_or(1) as usize).fold(0, |bits, number| bits | 1 << number);
    }
    Some((bits, any))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> TimeZone {
        super::super::zone(Some(name)).unwrap()
    }

    #[track_caller]
    fn check(schedule: &str, name: &str, after: &str, expected: &[&str]) {
        let (schedule, zone) = (Schedule::parse(schedule).expect(schedule), zone(name));
        let first = schedule.next(after.parse().unwrap(), &zone);
        let times = std::iter::successors(first, |time| schedule.next(*time, &zone));
        let times: Vec<String> = times.take(expected.len()).map(|time| time.to_string()).collect();
        assert_eq!(times, expected);
    }

    #[test]
    fn fields_name_minutes() {
        let after = "2026-01-30T23:58:30Z";
        check("*/15 * * * *", "UTC", after, &["2026-01-31T00:00:00Z", "2026-01-31T00:15:00Z"]);
        check("59 23 * * *", "UTC", after, &["2026-01-30T23:59:00Z", "2026-01-31T23:59:00Z"]);
        check("0 0 31 * *", "UTC", after, &["2026-01-31T00:00:00Z", "2026-03-31T00:00:00Z"]);
        check("30 8-9/1 * JAN-Feb mon", "UTC", after, &["2026-02-02T08:30:00Z", "2026-02-02T09:30:00Z"]);
        // Friday or the thirteenth.
        check("0 0 13 * 5", "UTC", after, &["2026-02-06T00:00:00Z", "2026-02-13T00:00:00Z", "2026-02-20T00:00:00Z"]);
        check("0 0 */2 * 5", "UTC", after, &["2026-01-31T00:00:00Z", "2026-02-01T00:00:00Z"]);
        check("0 0 29 2 *", "UTC", after, &["2028-02-29T00:00:00Z"]);
        check("@hourly", "UTC", after, &["2026-01-31T00:00:00Z", "2026-01-31T01:00:00Z"]);
        check("@every 90s", "UTC", after, &["2026-01-31T00:00:00Z", "2026-01-31T00:01:30Z"]);
        check("0 0 30 2 *", "UTC", after, &[]);
        assert_eq!(Schedule::parse("0 0 30 2 *").unwrap().next(after.parse().unwrap(), &TimeZone::UTC), None);
        for bad in
            ["", "* * * *", "60 * * * *", "* * 0 * *", "* * * * 7", "*/0 * * * *", "5-1 * * * *", "@often", "x * * * *"]
        {
            assert_eq!(Schedule::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn local_clocks_skip_and_repeat_hours() {
        // Berlin: 2 o'clock does not come on 29 March 2026, and comes twice on 25 October.
        let berlin = "Europe/Berlin";
        check("30 2 * * *", berlin, "2026-03-28T00:00:00Z", &["2026-03-28T01:30:00Z", "2026-03-30T00:30:00Z"]);
        check(
            "30 2 * * *",
            berlin,
            "2026-10-24T12:00:00Z",
            &["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-26T01:30:00Z"],
        );
        check("0 * * * *", berlin, "2026-03-29T00:30:00Z", &["2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"]);
        check("0 9 * * *", "Asia/Kolkata", "2026-01-01T00:00:00Z", &["2026-01-01T03:30:00Z", "2026-01-02T03:30:00Z"]);
        // Here midnight itself is skipped.
        check("15 * * * *", "America/Santiago", "2026-09-06T03:30:00Z", &["2026-09-06T04:15:00Z"]);
        check("0 0 * * *", "America/Santiago", "2026-09-05T12:00:00Z", &["2026-09-07T03:00:00Z"]);
    }

    #[test]
    fn the_last_of_many_missed_times_is_found() {
        let minutes = Schedule::parse("* * * * *").unwrap();
        let until: Timestamp = "2026-06-01T00:00:30Z".parse().unwrap();
        let last = |schedule: &Schedule, after: &str| schedule.last(after.parse().unwrap(), until, &TimeZone::UTC);
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        assert_eq!(last(&minutes, "2026-06-01T00:00:00Z"), None);
        assert_eq!(last(&minutes, "2026-05-31T23:58:59Z"), Some((time("2026-06-01T00:00:00Z"), 2)));
        assert_eq!(last(&minutes, "2020-01-01T00:00:00Z"), Some((time("2026-06-01T00:00:00Z"), 101)));
        let yearly = Schedule::parse("@yearly").unwrap();
        assert_eq!(last(&yearly, "2023-06-01T00:00:00Z"), Some((time("2026-01-01T00:00:00Z"), 3)));
    }
}
