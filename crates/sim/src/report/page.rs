//! The page of a comparison.

use std::fmt::Write as _;

use super::chart::{Axis, Mark, Scale, chart, escape};
use crate::compare::Fared;
use crate::scenario::Scenario;

const STYLE: &str = "
:root{--ground:#fff;--text:#1b1f24;--faint:#6a737d;--line:#d8dee4;--s0:#0b6e4f;--s1:#2f9e77;--s2:#c0392b;--s3:#b7791f;--s4:#5b4bb7;--s5:#1f6fb2;--s6:#8a3b76;--s7:#555;color-scheme:light dark}
@media (prefers-color-scheme:dark){:root{--ground:#111418;--text:#e6e9ec;--faint:#9aa4ad;--line:#2b3138;--s0:#4fd1a5;--s1:#8be3c5;--s2:#ff7b72;--s3:#e3b341;--s4:#a99bff;--s5:#6cb6ff;--s6:#e08bc8;--s7:#aaa}}
body{margin:0 auto;max-width:60rem;padding:2rem 1rem 4rem;background:var(--ground);color:var(--text);font:16px/1.5 system-ui,sans-serif}
h1{font-size:1.5rem;line-height:1.25}h2{font-size:1.1rem;margin:2.2rem 0 .3rem}p{max-width:44rem}.faint,figcaption{color:var(--faint);font-size:.9rem}
figure{margin:0}svg{width:100%;height:auto}svg text{fill:var(--faint);font-size:11px}svg .axis{font-size:12px}
.grid{stroke:var(--line)}.level{stroke:var(--s2);stroke-dasharray:2 3}polyline{fill:none;stroke-width:2}.dashed{stroke-dasharray:5 4}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}th,td{text-align:right;padding:.35rem .6rem;border-bottom:1px solid var(--line);vertical-align:top}th:first-child,td:first-child{text-align:left}th{font-weight:600}
.wide{overflow-x:auto}.name{margin-right:1rem;white-space:nowrap;font-size:.9rem}.key{display:inline-block;width:.8em;height:.8em;border-radius:50%;margin-right:.5em}
";

const MINUTES: Axis = Axis { name: "minutes since the start", scale: Scale::Log { least: 0.1 }, write: short };
const DEVICES: Axis = Axis { name: "devices", scale: Scale::Log { least: 0.5 }, write: short };
const EVIDENCE: Axis = Axis { name: "ln of the evidence", scale: Scale::Even, write: short };
const TO_ALL: Axis =
    Axis { name: "minutes to the whole fleet, with a sound release", scale: Scale::Log { least: 1.0 }, write: short };
const HARMED: Axis = Axis { name: "devices harmed", scale: Scale::Log { least: 0.5 }, write: short };

/// The page of a comparison: HTML that refers to nothing outside itself.
pub fn page(scenario: &Scenario, seed: u64, fared: &[Fared]) -> String {
    let (title, name) = (escape(&scenario.title), escape(&scenario.name));
    let colours: String = (0..8).fold(String::new(), |mut css, n| {
        let _ = writeln!(
            css,
            "polyline.s{n}{{stroke:var(--s{n})}}circle.s{n}{{fill:var(--s{n})}}.key.s{n}{{background:var(--s{n})}}"
        );
        css
    });
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{name}: policies side by side</title><style>{STYLE}{colours}</style></head><body>\n\
         <h1>{title}</h1>\n<p class=\"faint\">Scenario <code>{name}</code>, {} devices, seed {seed}. {}</p>\n\
         <h2>How each of them fared</h2>\n<div class=\"wide\">{}</div>\n{}\n{}\n{}\n\
         <p class=\"faint\">Made by <code>tidegate simulate</code>. The gate, the planner, the device machine and the guard are those that \
         ship; the rules of others are models of what their makers publish, with the best of a grid of settings.</p>\n</body></html>\n",
        count(f64::from(scenario.devices)),
        escape(&scenario.source),
        table(fared),
        exposure(fared),
        evidence(fared),
        frontier(fared),
    )
}

fn class(index: usize) -> usize {
    index.min(7)
}

fn table(fared: &[Fared]) -> String {
    let mut rows = String::new();
    for (index, one) in fared.iter().enumerate() {
        let outcome = &one.outcome;
        let seconds = |s: Option<f64>| s.map_or_else(|| "never".to_owned(), lasting);
        let _ = write!(
            rows,
            "<tr><td><span class=\"key s{}\"></span>{}<br><span class=\"faint\">{}</span></td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            class(index),
            escape(&one.name),
            escape(&one.notes.join("; ")),
            count(f64::from(outcome.exposed)),
            count(f64::from(outcome.harmed)),
            count(f64::from(outcome.need_hands)),
            seconds(outcome.halt_s()),
            seconds(one.sound.fleet_done_s()),
        );
    }
    format!(
        "<table><tr><th>Policy</th><th>Exposed</th><th>Harmed</th><th>Need hands</th><th>First harm to halt</th><th>Sound release to all</th></tr>{rows}</table>"
    )
}

fn figure(title: &str, caption: &str, svg: &str, fared: &[Fared]) -> String {
    let key = fared.iter().enumerate().map(|(index, one)| {
        format!("<span class=\"name\"><span class=\"key s{}\"></span>{}</span> ", class(index), escape(&one.name))
    });
    format!(
        "<h2>{title}</h2>\n<figure><div>{}</div>{svg}<figcaption>{caption}</figcaption></figure>",
        key.collect::<String>()
    )
}

fn exposure(fared: &[Fared]) -> String {
    let mut marks = Vec::new();
    for (index, one) in fared.iter().enumerate() {
        let points = &one.outcome.course.points;
        let line = |of: fn(&crate::outcome::Point) -> u32| {
            points.iter().map(|p| (p.at_ms as f64 / 6e4, f64::from(of(p)))).collect()
        };
        marks.push(Mark::Line { class: class(index), dashed: false, points: line(|p| p.exposed) });
        marks.push(Mark::Line { class: class(index), dashed: true, points: line(|p| p.harmed) });
    }
    let svg = chart("Devices exposed and harmed over time, by policy", &MINUTES, &DEVICES, &marks);
    figure(
        "Exposure",
        "Devices that were given the release; dashed: those that it harmed. Both axes are logarithmic.",
        &svg,
        fared,
    )
}

fn evidence(fared: &[Fared]) -> String {
    let weighs = |one: &&Fared| one.outcome.ln_halt.is_some();
    if !fared.iter().any(|one| weighs(&one)) {
        return String::new();
    }
    let mut marks = Vec::new();
    for (index, one) in fared.iter().enumerate().filter(|(_, one)| weighs(one)) {
        let points = one.outcome.course.points.iter();
        let points = points.filter_map(|p| Some((p.at_ms as f64 / 6e4, p.ln_evidence?))).collect();
        marks.push(Mark::Line { class: class(index), dashed: false, points });
    }
    if let Some(y) = fared.iter().find_map(|one| one.outcome.ln_halt) {
        marks.push(Mark::Level { y, name: "halts" });
    }
    let svg = chart("The weighted evidence against the release over time", &MINUTES, &EVIDENCE, &marks);
    let caption = "The weighted evidence against the release, as the gate saw it at each step. A lab or a full window can halt before it.";
    figure("Evidence", caption, &svg, fared)
}

fn frontier(fared: &[Fared]) -> String {
    let mut marks = Vec::new();
    for (index, one) in fared.iter().enumerate() {
        for tried in &one.tried {
            if let Some(seconds) = tried.fleet_done_s {
                let title = format!("{}, {}: {} harmed", one.name, tried.setting.words(), tried.harmed);
                marks.push(Mark::Dot {
                    class: class(index),
                    radius: 2.5,
                    at: (seconds / 60.0, f64::from(tried.harmed)),
                    title,
                });
            }
        }
        if let Some(seconds) = one.sound.fleet_done_s() {
            let title = format!("{}: {} harmed", one.name, one.outcome.harmed);
            marks.push(Mark::Dot {
                class: class(index),
                radius: 6.0,
                at: (seconds / 60.0, f64::from(one.outcome.harmed)),
                title,
            });
        }
    }
    let svg = chart("Devices harmed against the time to the whole fleet", &TO_ALL, &HARMED, &marks);
    let tried_on = fared.iter().flat_map(|one| &one.tried).map(|tried| tried.devices).max().unwrap_or(0);
    let caption = format!(
        "Lower and further left is better. Large dots: as in the table. Small dots: every other setting of the rules, on {} devices.",
        count(f64::from(tried_on))
    );
    figure("Harm against speed", &caption, &svg, fared)
}

/// A number with thousands apart.
fn count(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 && digit.is_ascii_digit() {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// A number for an axis.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 1e6 => format!("{}M", value / 1e6),
        size if size >= 1e3 => format!("{}k", value / 1e3),
        _ => format!("{value}"),
    }
}

/// Seconds as people say them.
pub fn lasting(seconds: f64) -> String {
    match seconds {
        s if s < 600.0 => format!("{s:.0} s"),
        s if s < 36_000.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.1} h", s / 3_600.0),
        s => format!("{:.1} d", s / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        assert_eq!(count(8_500_000.0), "8\u{202f}500\u{202f}000");
        assert_eq!((count(0.0).as_str(), count(999.0).as_str()), ("0", "999"));
        assert_eq!(
            (lasting(12.0), lasting(7_200.0), lasting(90_000.0)),
            ("12 s".into(), "120 min".into(), "25.0 h".into())
        );
    }
}
