//! Instants for people: in UTC, as the server wrote them down. The script says them in the reader's own time.

use jiff::Timestamp;
use maud::{Markup, html};
use tidegate_domain::time::WallTime;

/// A time, readable by people and by the script.
pub(crate) fn instant(at: WallTime) -> Markup {
    let text = rfc3339(at);
    html! { time datetime=(text) { (text.replace('T', " ").trim_end_matches('Z')) " UTC" } }
}

/// To the second, in UTC. What no calendar holds is said in milliseconds.
fn rfc3339(at: WallTime) -> String {
    let ms = i64::try_from(at.as_ms()).ok();
    let instant = ms.and_then(|ms| Timestamp::from_millisecond(ms - ms.rem_euclid(1_000)).ok());
    instant.map_or_else(|| format!("{} ms", at.as_ms()), |instant| instant.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_said_to_the_second_and_whatever_it_is() {
        let shown = instant(WallTime::from_ms(1_721_361_840_999)).into_string();
        assert_eq!(shown, "<time datetime=\"2024-07-19T04:04:00Z\">2024-07-19 04:04:00 UTC</time>");
        assert!(instant(WallTime::from_ms(u64::MAX)).into_string().contains("18446744073709551615 ms"));
    }
}
