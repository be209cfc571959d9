//! Curves over training steps. Takes points; gives a figure of inline SVG and HTML. Called by `page`.
//!
//! The SVG is stretched to the width that there is, and its strokes are not; the labels are HTML beside it. So the same
//! figure has letters of one size on a phone, on a wide screen and on paper, without a script.

use super::scale::Scale;
use super::text::{escape, number};

/// Width and height of the drawing in its own units.
const SIZE: f64 = 1000.0;
/// Columns in which a long curve keeps its lowest and its highest value.
const COLUMNS: usize = 300;

/// How a curve is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stroke {
    /// In the background, for values that scatter.
    Faint,
    /// A line.
    Line,
    /// A line with a dot at every value.
    Dots,
}

/// A curve.
#[derive(Debug)]
pub(super) struct Curve {
    /// What it shows.
    pub(super) label: &'static str,
    /// Its colour in the style sheet.
    pub(super) colour: &'static str,
    /// How it is drawn.
    pub(super) stroke: Stroke,
    /// Steps and values, by step.
    pub(super) points: Vec<(f64, f64)>,
}

/// A figure.
#[derive(Debug, Default)]
pub(super) struct Chart {
    /// What stands above it.
    pub(super) title: String,
    /// The curves, the hindmost first.
    pub(super) curves: Vec<Curve>,
    /// A dashed level with its label.
    pub(super) level: Option<(f64, &'static str)>,
    /// A value that is pointed out: its step, itself, and its label.
    pub(super) mark: Option<(f64, Option<f64>, String)>,
    /// Whether the axis of values begins at zero.
    pub(super) from_zero: bool,
}

impl Chart {
    /// The figure; nothing if there is no value to draw.
    pub(super) fn render(&self) -> String {
        let values = || self.curves.iter().flat_map(|curve| &curve.points).filter(|(_, value)| value.is_finite());
        let last = values().map(|(step, _)| *step).fold(f64::NAN, f64::max);
        if last.is_nan() {
            return String::new();
        }
        let heights = || values().map(|(_, value)| *value).chain(self.level.map(|(value, _)| value));
        let lowest = heights().fold(f64::INFINITY, f64::min);
        let lowest = if self.from_zero { lowest.min(0.0) } else { lowest };
        let y = Scale::around(lowest, heights().fold(f64::NEG_INFINITY, f64::max), 5);
        let frame = Frame { x: Scale::steps(last, 5), y };
        let curves: String = self.curves.iter().map(|curve| frame.curve(curve)).collect();
        format!(
            "<figure class=\"chart\">\n<figcaption><h3>{title}</h3>{key}</figcaption>\n<div class=\"plot\">\n\
             <svg viewBox=\"0 0 {SIZE} {SIZE}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{description}\">\n\
             {grid}{level}{rule}{curves}{ring}</svg>\n{labels}{note}</div>\n</figure>\n",
            title = escape(&self.title),
            key = self.key(),
            description = escape(&self.description()),
            grid = frame.grid(),
            level = self.level.map(|(value, _)| frame.level(value)).unwrap_or_default(),
            rule = self.mark.as_ref().map(|(step, ..)| frame.rule(*step)).unwrap_or_default(),
            ring =
                self.mark.as_ref().and_then(|(step, value, _)| Some(frame.ring(*step, (*value)?))).unwrap_or_default(),
            labels = frame.labels(),
            note = self.mark.as_ref().map(|(step, _, label)| frame.note(*step, label)).unwrap_or_default(),
        )
    }

    /// The curves' names with their colours; a curve that is alone is named by the title.
    fn key(&self) -> String {
        let entry = |class: &str, label: &str| format!("<li class=\"{class}\"><i></i>{}</li>", escape(label));
        let stroke = |stroke| if stroke == Stroke::Faint { " faint" } else { "" };
        let curves: Vec<&Curve> = self.curves.iter().filter(|curve| !curve.points.is_empty()).collect();
        if curves.len() < 2 && self.level.is_none() {
            return String::new();
        }
        let entries: String = curves
            .iter()
            .map(|curve| entry(&format!("{}{}", curve.colour, stroke(curve.stroke)), curve.label))
            .collect();
        let level = self.level.map(|(_, label)| entry("level", label)).unwrap_or_default();
        format!("<ul class=\"key\">{entries}{level}</ul>")
    }

    /// The figure for those who hear it.
    fn description(&self) -> String {
        let curves = self.curves.iter().filter_map(|curve| {
            let ((from, first), (to, last)) = (curve.points.first()?, curve.points.last()?);
            Some(format!("{}: {} at step {from}, {} at step {to}", curve.label, number(*first), number(*last)))
        });
        format!("{}. {}", self.title, curves.collect::<Vec<_>>().join("; "))
    }
}

/// The axes of a figure.
struct Frame {
    x: Scale,
    y: Scale,
}

impl Frame {
    fn at(&self, step: f64, value: f64) -> (f64, f64) {
        (self.x.position(step) * SIZE, (1.0 - self.y.position(value)) * SIZE)
    }

    fn grid(&self) -> String {
        let line = |(value, _): (f64, String)| format!("M0 {:.1}H{SIZE}", self.at(0.0, value).1);
        format!("<path class=\"grid\" d=\"{}\"/>\n", self.y.ticks().map(line).collect::<String>())
    }

    fn level(&self, value: f64) -> String {
        format!("<path class=\"line level\" d=\"M0 {:.1}H{SIZE}\"/>\n", self.at(0.0, value).1)
    }

    fn rule(&self, step: f64) -> String {
        format!("<path class=\"rule\" d=\"M{:.1} 0V{SIZE}\"/>\n", self.x.position(step) * SIZE)
    }

    /// A ring around a value: a line of no length with round ends, because a circle would be stretched.
    fn ring(&self, step: f64, value: f64) -> String {
        let (x, y) = self.at(step, value);
        format!("<path class=\"ring\" d=\"M{x:.1} {y:.1}h0\"/><path class=\"ring inner\" d=\"M{x:.1} {y:.1}h0\"/>\n")
    }

    fn curve(&self, curve: &Curve) -> String {
        let mut line = String::new();
        let mut dots = String::new();
        let mut joined = false;
        for (step, value) in thin(&curve.points) {
            // A value that is not a number leaves a gap.
            if !value.is_finite() {
                joined = false;
                continue;
            }
            let (x, y) = self.at(step, value);
            line.push_str(&format!("{}{x:.1} {y:.1}", if joined { 'L' } else { 'M' }));
            if curve.stroke == Stroke::Dots {
                let title = format!("{} at step {step}: {}", curve.label, number(value));
                dots.push_str(&format!(
                    "<path class=\"dot {}\" d=\"M{x:.1} {y:.1}h0\"><title>{}</title></path>\n",
                    curve.colour,
                    escape(&title)
                ));
            }
            joined = true;
        }
        let faint = if curve.stroke == Stroke::Faint { " faint" } else { "" };
        format!("<path class=\"line {}{faint}\" d=\"{line}\"/>\n{dots}", curve.colour)
    }

    fn labels(&self) -> String {
        let y = self.y.ticks().map(|(value, label)| {
            format!("<span class=\"y\" style=\"top:{:.2}%\">{label}</span>", self.at(0.0, value).1 / SIZE * 100.0)
        });
        let x = self.x.ticks().map(|(value, label)| {
            format!("<span class=\"x\" style=\"left:{:.2}%\">{label}</span>", self.x.position(value) * 100.0)
        });
        format!("{}<span class=\"unit\">step</span>\n", y.chain(x).collect::<String>())
    }

    /// The label of the value that is pointed out, on the side where there is room.
    fn note(&self, step: f64, label: &str) -> String {
        let left = self.x.position(step) * 100.0;
        let side = if left > 55.0 { "before" } else { "after" };
        format!("<span class=\"note {side}\" style=\"left:{left:.2}%\">{}</span>", escape(label))
    }
}

/// A curve of many points as one that looks the same: of each column its lowest and its highest value, in their order.
fn thin(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    if points.len() <= 2 * COLUMNS {
        return points.to_vec();
    }
    let column = |points: &[(f64, f64)]| {
        let by_value = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
        let ends = [points.iter().min_by(by_value), points.iter().max_by(by_value)];
        let mut ends: Vec<(f64, f64)> = ends.into_iter().flatten().copied().collect();
        ends.sort_by(|a, b| a.0.total_cmp(&b.0));
        ends.dedup();
        ends
    };
    points.chunks(points.len().div_ceil(COLUMNS)).flat_map(column).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn curve(points: Vec<(f64, f64)>, stroke: Stroke) -> Curve {
        Curve { label: "train", colour: "train", stroke, points }
    }

    #[test]
    fn corners_of_the_curve_are_corners_of_the_plot() {
        let curves = vec![curve(vec![(0.0, 2.0), (100.0, 0.0)], Stroke::Line)];
        let html = Chart { title: "Loss".into(), curves, ..Chart::default() }.render();
        assert!(html.contains("d=\"M0.0 0.0L1000.0 1000.0\""), "{html}");
    }

    #[test]
    fn what_is_not_a_number_is_a_gap() {
        let points = vec![(0.0, 1.0), (1.0, f64::NAN), (2.0, 0.0)];
        let html = Chart { curves: vec![curve(points, Stroke::Line)], ..Chart::default() }.render();
        assert!(html.contains("d=\"M0.0 0.0M1000.0 1000.0\""), "{html}");
        let nothing = vec![curve(vec![(1.0, f64::NAN)], Stroke::Line)];
        assert_eq!(Chart { curves: nothing, ..Chart::default() }.render(), "");
    }

    #[test]
    fn thinning_keeps_the_ends_of_the_range() {
        let points: Vec<_> = (0..10_000).map(|step| (f64::from(step), f64::from(step * 7919 % 10_007))).collect();
        let thinned = thin(&points);
        assert!(thinned.len() <= 2 * COLUMNS);
        let range = |points: &[(f64, f64)]| {
            let values = || points.iter().map(|point| point.1);
            (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max))
        };
        assert_eq!(range(&thinned), range(&points));
        assert!(thinned.is_sorted_by(|a, b| a.0 < b.0));
    }
}
