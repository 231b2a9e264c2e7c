//! Charts as SVG: lines and dots on two axes. It knows nothing of fleets.

use std::fmt::Write as _;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 44.0;

/// How values lie along an axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scale {
    /// Evenly.
    Even,
    /// By their logarithm; what is below `least` lies at it.
    Log {
        /// The least value that is told apart.
        least: f64,
    },
}

/// One axis.
pub(super) struct Axis {
    /// What it measures, with its unit.
    pub(super) name: &'static str,
    /// How values lie along it.
    pub(super) scale: Scale,
    /// How a value is written.
    pub(super) write: fn(f64) -> String,
}

/// One thing to draw. `class` is the series' number, which gives it its colour.
pub(super) enum Mark {
    /// A line through points.
    Line {
        /// The series.
        class: usize,
        /// Drawn dashed.
        dashed: bool,
        /// x and y.
        points: Vec<(f64, f64)>,
    },
    /// A dot.
    Dot {
        /// The series.
        class: usize,
        /// In pixels.
        radius: f64,
        /// Where.
        at: (f64, f64),
        /// What it is.
        title: String,
    },
    /// A level across the whole chart.
    Level {
        /// Where.
        y: f64,
        /// What it is.
        name: &'static str,
    },
}

/// Draws a chart. `label` says for those who do not see it what it shows.
pub(super) fn chart(label: &str, x: &Axis, y: &Axis, marks: &[Mark]) -> String {
    let mut xs: Vec<f64> = Vec::new();
    let mut ys: Vec<f64> = Vec::new();
    for mark in marks {
        match mark {
            Mark::Line { points, .. } => {
                xs.extend(points.iter().map(|point| point.0));
                ys.extend(points.iter().map(|point| point.1));
            }
            Mark::Dot { at, .. } => {
                xs.push(at.0);
                ys.push(at.1);
            }
            Mark::Level { y, .. } => ys.push(*y),
        }
    }
    let (across, up) = (Span::of(x.scale, &xs, LEFT, WIDTH - RIGHT), Span::of(y.scale, &ys, HEIGHT - BOTTOM, TOP));
    let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">", escape(label));
    for value in across.ticks() {
        let at = across.place(value);
        let (foot, low) = (HEIGHT - BOTTOM, HEIGHT - BOTTOM + 16.0);
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{foot}\"/><text x=\"{at:.1}\" y=\"{low}\" text-anchor=\"middle\">{}</text>",
            (x.write)(value)
        );
    }
    for value in up.ticks() {
        let at = up.place(value);
        let (end, base) = (WIDTH - RIGHT, at + 4.0);
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{end}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/><text x=\"58\" y=\"{base:.1}\" text-anchor=\"end\">{}</text>",
            (y.write)(value)
        );
    }
    let (middle, foot, half) = ((LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 8.0, (TOP + HEIGHT - BOTTOM) / 2.0);
    let _ = write!(
        svg,
        "<text class=\"axis\" x=\"{middle}\" y=\"{foot}\" text-anchor=\"middle\">{}</text><text class=\"axis\" transform=\"rotate(-90)\" x=\"-{half}\" y=\"13\" text-anchor=\"middle\">{}</text>",
        x.name, y.name
    );
    marks.iter().for_each(|mark| draw(&mut svg, mark, &across, &up));
    svg + "</svg>"
}

fn draw(svg: &mut String, mark: &Mark, across: &Span, up: &Span) {
    match mark {
        Mark::Line { class, dashed, points } => {
            let path: Vec<String> =
                points.iter().map(|(x, y)| format!("{:.1},{:.1}", across.place(*x), up.place(*y))).collect();
            let dashed = if *dashed { " dashed" } else { "" };
            let _ = write!(svg, "<polyline class=\"s{class}{dashed}\" points=\"{}\"/>", path.join(" "));
        }
        Mark::Dot { class, radius, at, title } => {
            let (x, y, title) = (across.place(at.0), up.place(at.1), escape(title));
            let _ = write!(
                svg,
                "<circle class=\"s{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\"><title>{title}</title></circle>"
            );
        }
        Mark::Level { y, name } => {
            let (at, end, above) = (up.place(*y), WIDTH - RIGHT, up.place(*y) - 5.0);
            let _ = write!(
                svg,
                "<line class=\"level\" x1=\"{LEFT}\" x2=\"{end}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/><text x=\"{end}\" y=\"{above:.1}\" text-anchor=\"end\">{name}</text>"
            );
        }
    }
}

/// A range of values on a range of pixels.
struct Span {
    scale: Scale,
    from: f64,
    to: f64,
    begin: f64,
    end: f64,
}

impl Span {
    fn of(scale: Scale, values: &[f64], begin: f64, end: f64) -> Span {
        let finite = || values.iter().copied().filter(|value| value.is_finite());
        let (least, most) = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
        let (from, to) = match scale {
            Scale::Even if least < most => (least, most + (most - least) * 0.05),
            Scale::Even => (0.0, 1.0),
            Scale::Log { least } => (least, 10_f64.powf((most.max(least * 10.0) * 1.2).log10().ceil())),
        };
        Span { scale, from, to, begin, end }
    }

    fn place(&self, value: f64) -> f64 {
        let share = match self.scale {
            Scale::Even => (value - self.from) / (self.to - self.from),
            Scale::Log { least } => (value.max(least) / self.from).ln() / (self.to / self.from).ln(),
        };
        self.begin + share * (self.end - self.begin)
    }

    fn ticks(&self) -> Vec<f64> {
        match self.scale {
            Scale::Log { .. } => {
                let decades = self.from.log10().ceil() as i32..=self.to.log10().floor() as i32;
                decades.map(|power| 10_f64.powi(power)).collect()
            }
            Scale::Even => {
                let rough = (self.to - self.from) / 6.0;
                let decade = 10_f64.powf(rough.log10().floor());
                let step = [1.0, 2.0, 5.0, 10.0].map(|n| n * decade).into_iter().find(|step| *step >= rough);
                let step = step.unwrap_or(decade);
                let first = (self.from / step).ceil() as i64;
                let last = (self.to / step).floor() as i64;
                (first..=last.min(first + 20)).map(|n| n as f64 * step).collect()
            }
        }
    }
}

/// Text as it may stand in a page.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Axis = Axis { name: "n", scale: Scale::Even, write: |value| format!("{value}") };
    const LOG: Axis = Axis { name: "n", scale: Scale::Log { least: 1.0 }, write: |value| format!("{value}") };

    #[test]
    fn nothing_to_draw_and_values_without_sense_still_give_a_chart_of_finite_numbers() {
        let odd = Mark::Line { class: 0, dashed: false, points: vec![(0.0, 0.0), (1.0, 1e12)] };
        for chart in [chart("empty", &PLAIN, &LOG, &[]), chart("<odd>", &LOG, &LOG, &[odd])] {
            assert!(!chart.contains("NaN") && !chart.contains("inf"), "{chart}");
        }
        assert!(chart("<odd>", &PLAIN, &PLAIN, &[]).contains("&lt;odd&gt;"));
    }
}
