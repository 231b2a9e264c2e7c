//! Maintenance windows as people write them, worked out for a year ahead in their own time zone. Never says whether one is open now.

use jiff::ToSpan as _;
use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use tidegate_control::command::WINDOWS_MAX;
use tidegate_domain::time::WallTime;
use tidegate_wire::operator::WeeklyWindows;

const RULES_MAX: usize = 16;
const DAYS_AHEAD: i32 = 366;
const WEEK: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

/// The windows of the year that begins at `from`, in the order of time, those that touch made one; at most as many as a hold may have.
///
/// # Errors
/// What is wrong with a rule or the zone, and what would be right.
pub(crate) fn windows(rules: &WeeklyWindows, from: WallTime) -> Result<Vec<(WallTime, WallTime)>, String> {
    let zone = TimeZone::get(&rules.zone).map_err(|_| {
        format!("field `windows.zone` is {:?}: expected an IANA name such as Europe/Amsterdam", rules.zone)
    })?;
    if rules.weekly.is_empty() || rules.weekly.len() > RULES_MAX {
        let count = rules.weekly.len();
        return Err(format!(
            "field `windows.weekly` has {count} entries: expected 1 to {RULES_MAX}, such as `sat,sun 02:00-06:00`"
        ));
    }
    let weekly: Result<Vec<Rule>, String> = rules.weekly.iter().map(|text| Rule::parse(text)).collect();
    let weekly = weekly?;
    let far = || "the instant lies outside the calendar".to_owned();
    let begins =
        i64::try_from(from.as_ms()).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok()).ok_or_else(far)?;
    let today = begins.to_zoned(zone.clone()).date();
    let mut all = Vec::new();
    for day in -1..DAYS_AHEAD {
        let date = today.checked_add(day.days()).map_err(|_| far())?;
        for rule in weekly.iter().filter(|rule| rule.days.contains(&date.weekday())) {
            all.push(rule.on(date, &zone).ok_or_else(far)?);
        }
    }
    all.sort_unstable();
    Ok(together(all, from))
}

/// Those that overlap or touch as one, without those that are over.
fn together(all: Vec<(WallTime, WallTime)>, from: WallTime) -> Vec<(WallTime, WallTime)> {
    let mut windows: Vec<(WallTime, WallTime)> = Vec::new();
    for (begins, ends) in all.into_iter().filter(|(begins, ends)| begins < ends && *ends > from) {
        match windows.last_mut() {
            Some(last) if begins <= last.1 => last.1 = last.1.max(ends),
            _ => windows.push((begins, ends)),
        }
    }
    windows.truncate(WINDOWS_MAX);
    windows
}

struct Rule {
    days: Vec<Weekday>,
    begins: Time,
    ends: Time,
}

impl Rule {
    fn parse(text: &str) -> Result<Rule, String> {
        let wrong = || {
            format!(
                "field `windows.weekly` has {text:?}: expected days and times, such as `sat,sun 02:00-06:00` or `mon-fri 22:00-04:00`"
            )
        };
        let (days, times) = text.trim().split_once(' ').ok_or_else(wrong)?;
        let (begins, ends) = times.trim().split_once('-').ok_or_else(wrong)?;
        let time = |text: &str| Time::strptime("%H:%M", text.trim()).map_err(|_| wrong());
        let days: Option<Vec<Vec<Weekday>>> = days.split(',').map(range).collect();
        Ok(Rule { days: days.ok_or_else(wrong)?.concat(), begins: time(begins)?, ends: time(ends)? })
    }

    /// From its begin on a day to its end on the same day, or on the next one where that comes first. An hour that a change of the clocks
    /// leaves out counts as the one after it.
    fn on(&self, date: Date, zone: &TimeZone) -> Option<(WallTime, WallTime)> {
        let end_date = if self.ends > self.begins { date } else { date.tomorrow().ok()? };
        let at = |date: Date, time: Time| {
            let at = date.to_datetime(time).to_zoned(zone.clone()).ok()?;
            u64::try_from(at.timestamp().as_millisecond()).ok().map(WallTime::from_ms)
        };
        Some((at(date, self.begins)?, at(end_date, self.ends)?))
    }
}

/// A day or a range of days, over the weekend where it is written so.
fn range(text: &str) -> Option<Vec<Weekday>> {
    let index = |word: &str| WEEK.iter().position(|(name, _)| name.eq_ignore_ascii_case(word.trim()));
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (index(first)?, index(last)?);
    let count = (last + WEEK.len() - first) % WEEK.len() + 1;
    Some(WEEK.iter().cycle().skip(first).take(count).map(|(_, day)| *day).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> WallTime {
        WallTime::from_ms(text.parse::<jiff::Timestamp>().unwrap().as_millisecond() as u64)
    }

    fn year(zone: &str, weekly: &[&str], from: &str) -> Result<Vec<(WallTime, WallTime)>, String> {
        let rules =
            WeeklyWindows { zone: zone.to_owned(), weekly: weekly.iter().map(|&rule| rule.to_owned()).collect() };
        windows(&rules, at(from))
    }

    #[test]
    fn windows_follow_the_clock_on_the_wall_through_both_changes_of_it() {
        let all = year("Europe/Amsterdam", &["sat,sun 02:00-06:00"], "2026-11-27T12:00:00Z").unwrap();
        assert_eq!(all[0], (at("2026-11-28T01:00:00Z"), at("2026-11-28T05:00:00Z")));
        // Summer time begins on 28 March 2027 at 02:00: the window has three hours left.
        assert!(all.contains(&(at("2027-03-28T01:00:00Z"), at("2027-03-28T04:00:00Z"))));
        // It ends on 31 October 2027 at 03:00: the window is an hour longer.
        assert!(all.contains(&(at("2027-10-31T00:00:00Z"), at("2027-10-31T05:00:00Z"))));
        assert!(all.len() > 100 && all.windows(2).all(|pair| pair[0].1 < pair[1].0));
    }

    #[test]
    fn a_window_over_midnight_is_one_also_where_it_began_yesterday() {
        let all = year("UTC", &["mon-fri 22:00-04:00"], "2026-11-27T01:00:00Z").unwrap();
        assert_eq!(all[0], (at("2026-11-26T22:00:00Z"), at("2026-11-27T04:00:00Z")));
        assert_eq!(all[1], (at("2026-11-27T22:00:00Z"), at("2026-11-28T04:00:00Z")));
        assert_eq!(all[2].0, at("2026-11-30T22:00:00Z"), "none begins at the weekend");
        let always = year("UTC", &["sat-fri 00:00-00:00"], "2026-11-27T01:00:00Z").unwrap();
        assert_eq!(always.len(), 1, "days that touch are one window");
    }

    #[test]
    fn a_rule_that_is_none_is_refused_with_one_that_would_be() {
        for (zone, rule) in [
            ("Mars/Olympus", "sat 02:00-06:00"),
            ("UTC", "sat"),
            ("UTC", "sat 2-6"),
            ("UTC", "someday 02:00-06:00"),
            ("UTC", "sat 02:00-25:00"),
            ("UTC", ""),
        ] {
            let problem = year(zone, &[rule], "2026-11-27T12:00:00Z").unwrap_err();
            assert!(problem.contains("expected"), "{problem}");
        }
        assert!(year("UTC", &[], "2026-11-27T12:00:00Z").is_err());
        assert!(year("UTC", &["sat 02:00-06:00"; 17], "2026-11-27T12:00:00Z").is_err());
    }
}
