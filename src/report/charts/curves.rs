//! Curves over a number, such as training steps. Takes points and intervals; gives a figure of inline SVG and HTML.
//!
//! The SVG is stretched to the width that there is, and its strokes are not; the labels are HTML beside it. So the same
//! figure has letters of one size on a phone, on a wide screen and on paper, without a script.

use maud::{Markup, html};

use super::scale::{Axis, Scale};
use crate::report::text::number;

/// Width and height of the drawing in its own units.
const SIZE: f64 = 1000.0;
/// Columns in which a long curve keeps its lowest and its highest value.
const COLUMNS: usize = 300;

/// How a curve is drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Stroke {
    /// In the background, for values that scatter.
    Faint,
    /// A line.
    #[default]
    Line,
    /// A line with a dot at every value.
    Dots,
    /// Dots without a line.
    Points,
}

/// A curve.
#[derive(Debug, Default)]
pub(crate) struct Curve<'a> {
    /// What it shows; empty for a curve that another one with a label goes along with.
    pub(crate) label: &'a str,
    /// Its colour in the style sheet.
    pub(crate) colour: &'static str,
    /// How it is drawn.
    pub(crate) stroke: Stroke,
    /// Places and values, by place.
    pub(crate) points: Vec<(f64, f64)>,
    /// Places with the lower and the upper end of what the value may be.
    pub(crate) intervals: Vec<(f64, f64, f64)>,
}

impl Curve<'_> {
    /// The intervals that can be drawn.
    fn whiskers(&self) -> impl Iterator<Item = (f64, f64, f64)> {
        self.intervals.iter().copied().filter(|(_, low, high)| low.is_finite() && high.is_finite())
    }
}

/// A figure.
#[derive(Debug, Default)]
pub(crate) struct Chart<'a> {
    /// What stands above it.
    pub(crate) title: String,
    /// The curves, the hindmost first.
    pub(crate) curves: Vec<Curve<'a>>,
    /// A dashed level with its label.
    pub(crate) level: Option<(f64, &'static str)>,
    /// A value that is pointed out: its place, itself, and its label.
    pub(crate) mark: Option<(f64, Option<f64>, String)>,
    /// What the places are.
    pub(crate) unit: &'static str,
    /// The axis of places.
    pub(crate) across: Axis,
    /// The axis of values.
    pub(crate) up: Axis,
}

impl Chart<'_> {
    /// The figure; nothing if there is no value to draw.
    pub(crate) fn render(&self) -> Markup {
        let Some(frame) = self.frame() else { return html! {} };
        html! {
            figure.chart {
                figcaption { h3 { (self.title) } (self.key()) }
                div.plot {
                    svg viewBox={ "0 0 " (SIZE) " " (SIZE) } preserveAspectRatio="none" role="img"
                        aria-label=(self.description()) {
                        (frame.grid())
                        @if let Some((value, _)) = self.level { (frame.level(value)) }
                        @if let Some((place, ..)) = self.mark { (frame.rule(place)) }
                        @for curve in &self.curves { (frame.curve(curve, self.unit)) }
                        @if let Some((place, Some(value), _)) = self.mark { (frame.ring(place, value)) }
                    }
                    (frame.labels(self.unit))
                    @if let Some((place, _, label)) = &self.mark { (frame.note(*place, label)) }
                }
            }
        }
    }

    /// The axes around everything that is drawn.
    fn frame(&self) -> Option<Frame> {
        let values = || self.curves.iter().flat_map(|curve| &curve.points).filter(|(_, value)| value.is_finite());
        let ends = self.curves.iter().flat_map(Curve::whiskers).flat_map(|(_, low, high)| [low, high]);
        let places = range(self.across, values().map(|(place, _)| *place))?;
        let heights = values().map(|(_, value)| *value).chain(ends).chain(self.level.map(|(value, _)| value));
        let (lowest, highest) = range(self.up, heights)?;
        Some(Frame { x: Scale::new(self.across, places.0, places.1, 5), y: Scale::new(self.up, lowest, highest, 5) })
    }

    /// The curves' names with their colours; a curve that is alone is named by the title.
    fn key(&self) -> Markup {
        let class = |curve: &Curve<'_>| match curve.stroke {
            Stroke::Faint => format!("{} faint", curve.colour),
            _ => curve.colour.to_owned(),
        };
        let curves: Vec<&Curve<'_>> = self.labelled().filter(|curve| !curve.points.is_empty()).collect();
        html! {
            @if curves.len() > 1 || self.level.is_some() {
                ul.key {
                    @for curve in curves { li class=(class(curve)) { i {} (curve.label) } }
                    @if let Some((_, label)) = self.level { li.level { i {} (label) } }
                }
            }
        }
    }

    fn labelled(&self) -> impl Iterator<Item = &Curve<'_>> {
        self.curves.iter().filter(|curve| !curve.label.is_empty())
    }

    /// The figure for those who hear it.
    fn description(&self) -> String {
        let curves = self.labelled().filter_map(|curve| {
            let ((from, first), (to, last)) = (curve.points.first()?, curve.points.last()?);
            let (from, to) = (at(self.unit, *from), at(self.unit, *to));
            Some(format!("{}: {} {from}, {} {to}", curve.label, number(*first), number(*last)))
        });
        format!("{}. {}", self.title, curves.collect::<Vec<_>>().join("; "))
    }
}

/// The least and the greatest value that an axis can show; `None` if there is none.
fn range(axis: Axis, values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let shown = values.filter(|value| value.is_finite() && (axis != Axis::Decades || *value > 0.0));
    shown.fold(None, |range, value| match range {
        None => Some((value, value)),
        Some((low, high)) => Some((value.min(low), value.max(high))),
    })
}

/// `at step 1200`.
fn at(unit: &str, place: f64) -> String {
    let place = if place.fract() == 0.0 { place.to_string() } else { number(place) };
    format!("at {unit} {place}")
}

/// The axes of a figure.
struct Frame {
    x: Scale,
    y: Scale,
}

impl Frame {
    fn at(&self, step: f64, value: f64) -> (f64, f64) {
        (self.x.position(step) * SIZE, self.height(value))
    }

    fn height(&self, value: f64) -> f64 {
        (1.0 - self.y.position(value)) * SIZE
    }

    fn grid(&self) -> Markup {
        let line = |(value, _): (f64, String)| format!("M0 {:.1}H{SIZE}", self.height(value));
        html! { path.grid d=(self.y.ticks().into_iter().map(line).collect::<String>()) {} }
    }

    fn level(&self, value: f64) -> Markup {
        html! { path.line.level d=(format!("M0 {:.1}H{SIZE}", self.height(value))) {} }
    }

    fn rule(&self, step: f64) -> Markup {
        html! { path.rule d=(format!("M{:.1} 0V{SIZE}", self.x.position(step) * SIZE)) {} }
    }

    /// A ring around a value.
    fn ring(&self, step: f64, value: f64) -> Markup {
        let place = self.dot(step, value);
        html! { path.ring d=(place) {} path.ring.inner d=(place) {} }
    }

    /// A line of no length, which has round ends: a circle would be stretched.
    fn dot(&self, step: f64, value: f64) -> String {
        let (x, y) = self.at(step, value);
        format!("M{x:.1} {y:.1}h0")
    }

    fn curve(&self, curve: &Curve<'_>, unit: &str) -> Markup {
        let points = thin(&curve.points);
        let is_line = curve.stroke != Stroke::Points;
        let has_dots = matches!(curve.stroke, Stroke::Dots | Stroke::Points);
        let class = if curve.stroke == Stroke::Faint { "line faint" } else { "line" };
        html! {
            (path("whisker", curve.colour, &self.whiskers(curve)))
            @if is_line { (path(class, curve.colour, &self.line(&points))) }
            @if has_dots {
                @for (step, value) in points.into_iter().filter(|(_, value)| value.is_finite()) {
                    path class={ "dot " (curve.colour) } d=(self.dot(step, value)) {
                        title { (curve.label) " " (at(unit, step)) ": " (number(value)) }
                    }
                }
            }
        }
    }

    /// A value that is not a number leaves a gap.
    fn line(&self, points: &[(f64, f64)]) -> String {
        let mut line = String::new();
        let mut joined = false;
        for (step, value) in points {
            if value.is_finite() {
                let (x, y) = self.at(*step, *value);
                line.push_str(&format!("{}{x:.1} {y:.1}", if joined { 'L' } else { 'M' }));
            }
            joined = value.is_finite();
        }
        line
    }

    fn whiskers(&self, curve: &Curve<'_>) -> String {
        let whisker = |(step, low, high)| {
            format!("M{:.1} {:.1}V{:.1}", self.x.position(step) * SIZE, self.height(low), self.height(high))
        };
        curve.whiskers().map(whisker).collect()
    }

    fn labels(&self, unit: &str) -> Markup {
        let top = |value| format!("top:{:.2}%", self.height(value) / SIZE * 100.0);
        let left = |value| format!("left:{:.2}%", self.x.position(value) * 100.0);
        html! {
            @for (value, label) in self.y.ticks() { span.y style=(top(value)) { (label) } }
            @for (value, label) in self.x.ticks() { span.x style=(left(value)) { (label) } }
            span.unit { (unit) }
        }
    }

    /// The label of the value that is pointed out, on the side where there is room.
    fn note(&self, step: f64, label: &str) -> Markup {
        let left = self.x.position(step) * 100.0;
        let side = if left > 55.0 { "before" } else { "after" };
        html! { span class={ "note " (side) } style=(format!("left:{left:.2}%")) { (label) } }
    }
}

/// A path of a curve; nothing if it goes nowhere.
fn path(class: &str, colour: &str, path: &str) -> Markup {
    html! { @if !path.is_empty() { path class={ (class) " " (colour) } d=(path) {} } }
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

    fn curve(points: Vec<(f64, f64)>, stroke: Stroke) -> Curve<'static> {
        Curve { label: "train", colour: "train", stroke, points, ..Curve::default() }
    }

    #[test]
    fn corners_of_the_curve_are_corners_of_the_plot() {
        let curves = vec![curve(vec![(0.0, 2.0), (100.0, 0.0)], Stroke::Line)];
        let html = Chart { title: "Loss".into(), curves, unit: "step", ..Chart::default() }.render().into_string();
        assert!(html.contains("aria-label=\"Loss. train: 2 at step 0, 0 at step 100\""), "{html}");
        assert!(html.contains("d=\"M0.0 0.0L1000.0 1000.0\""), "{html}");
    }

    #[test]
    fn what_is_not_a_number_is_a_gap() {
        let points = vec![(0.0, 1.0), (1.0, f64::NAN), (2.0, 0.0)];
        let html = Chart { curves: vec![curve(points, Stroke::Line)], ..Chart::default() }.render().into_string();
        assert!(html.contains("d=\"M0.0 0.0M1000.0 1000.0\""), "{html}");
        let nothing = vec![curve(vec![(1.0, f64::NAN)], Stroke::Line)];
        assert_eq!(Chart { curves: nothing, ..Chart::default() }.render().into_string(), "");
    }

    #[test]
    fn intervals_are_whiskers_and_what_is_not_above_zero_lies_on_the_edge() {
        let mut curve = curve(vec![(0.001, 0.0), (0.1, 0.1)], Stroke::Points);
        curve.intervals = vec![(0.001, 0.0, 0.01), (0.1, 0.01, 0.1), (0.1, f64::NAN, 1.0)];
        let (across, up) = (Axis::Decades, Axis::Decades);
        let html = Chart { curves: vec![curve], across, up, unit: "rate", ..Chart::default() }.render().into_string();
        assert!(html.contains("class=\"whisker train\" d=\"M0.0 1000.0V1000.0M1000.0 1000.0V0.0\""), "{html}");
        assert!(html.contains("d=\"M0.0 1000.0h0\"><title>train at rate 0.001: 0</title>"), "{html}");
        assert!(!html.contains("class=\"line"), "{html}");
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
