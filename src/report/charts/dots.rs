//! Values of several names beside each other, each with its interval: a line each, a dot with whiskers. Takes names and
//! values; gives a figure that is a table, so that it says in words what it draws. Called by the page of an evaluation.
//!
//! Each line has a drawing of its own, and their grids meet. As in `curves`, drawings are stretched and letters are not.

use super::scale::{Axis, Scale};
use crate::report::text::{escape, fixed, range};

/// Width of a drawing in its own units; its height is [`HEIGHT`].
const WIDTH: f64 = 1000.0;
/// See [`WIDTH`].
const HEIGHT: f64 = 10.0;

/// A line of the figure.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    /// Whose value it is.
    pub(crate) label: String,
    /// The value.
    pub(crate) value: f64,
    /// Where it may lie.
    pub(crate) interval: Option<(f64, f64)>,
    /// Whether it is what the figure is about.
    pub(crate) chosen: bool,
}

/// The figure.
#[derive(Debug, Default)]
pub(crate) struct Dots {
    /// What stands above it.
    pub(crate) title: String,
    /// What the lines are called.
    pub(crate) names: &'static str,
    /// The lines, from above.
    pub(crate) entries: Vec<Entry>,
    /// Whether there is a line at zero, on the sides of which values mean opposite things.
    pub(crate) around_zero: bool,
    /// Digits behind the point.
    pub(crate) decimals: usize,
}

impl Dots {
    /// The figure; nothing if there is no value to draw.
    pub(crate) fn render(&self) -> String {
        let entries = || self.entries.iter().filter(|entry| entry.value.is_finite());
        let ends = entries().flat_map(|entry| {
            let (low, high) = entry.interval.unwrap_or((entry.value, entry.value));
            [entry.value, low, high]
        });
        let values = ends.filter(|value| value.is_finite()).collect::<Vec<_>>();
        let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
        if values.is_empty() {
            return String::new();
        }
        let highest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        // Dots need no zero to be compared; differences do.
        let (axis, highest) = if self.around_zero { (Axis::FromZero, highest.max(0.0)) } else { (Axis::Even, highest) };
        let scale = Scale::new(axis, lowest, highest, 2);
        let lines: String = entries().map(|entry| self.line(entry, &scale)).collect();
        let ticks: String = scale
            .ticks()
            .into_iter()
            .map(|(value, label)| format!("<span style=\"left:{:.2}%\">{label}</span>", scale.position(value) * 100.0))
            .collect();
        format!(
            "<figure class=\"chart listed\">\n<figcaption><h3>{title}</h3></figcaption>\n<table class=\"dots\">\n\
             <thead><tr><th>{names}</th><th aria-hidden=\"true\"></th><th>value, 95% interval</th></tr></thead>\n\
             <tbody>\n{lines}</tbody>\n\
             <tfoot aria-hidden=\"true\"><tr><td></td><td><div class=\"ticks\">{ticks}</div></td><td></td></tr></tfoot>\n\
             </table>\n</figure>\n",
            title = escape(&self.title),
            names = escape(self.names),
        )
    }

    fn line(&self, entry: &Entry, scale: &Scale) -> String {
        let at = |value: f64| scale.position(value) * WIDTH;
        let middle = HEIGHT / 2.0;
        let colour = if entry.chosen { "metric" } else { "norm" };
        let interval = entry.interval.filter(|(low, high)| low.is_finite() && high.is_finite());
        let whisker = interval.map(|(low, high)| {
            format!("<path class=\"whisker {colour}\" d=\"M{:.1} {middle}H{:.1}\"/>", at(low), at(high))
        });
        let grid: String = scale.ticks().into_iter().map(|(tick, _)| format!("M{:.1} 0V{HEIGHT}", at(tick))).collect();
        let zero = if self.around_zero {
            format!("<path class=\"line level\" d=\"M{:.1} 0V{HEIGHT}\"/>", at(0.0))
        } else {
            String::new()
        };
        format!(
            "<tr{class}><th scope=\"row\">{label}</th><td class=\"drawing\"><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             preserveAspectRatio=\"none\" aria-hidden=\"true\"><path class=\"grid\" d=\"{grid}\"/>{zero}{whisker}\
             <path class=\"dot {colour}\" d=\"M{x:.1} {middle}h0\"/></svg></td>\
             <td>{value}{interval}</td></tr>\n",
            class = if entry.chosen { " class=\"chosen\"" } else { "" },
            label = escape(&entry.label),
            whisker = whisker.unwrap_or_default(),
            x = at(entry.value),
            value = fixed(entry.value, self.decimals),
            interval = interval_of(interval, self.decimals),
        )
    }
}

/// An interval behind or below its value; nothing where there is none.
pub(crate) fn interval_of(interval: Option<(f64, f64)>, decimals: usize) -> String {
    interval.map(|interval| format!("<small>{}</small>", range(interval, decimals))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(label: &str, value: f64, interval: Option<(f64, f64)>, chosen: bool) -> Entry {
        Entry { label: label.into(), value, interval, chosen }
    }

    #[test]
    fn dots_and_whiskers_are_where_the_values_are() {
        let entries = vec![
            entry("model", 0.3, Some((0.2, 0.4)), true),
            entry("random", 0.1, None, false),
            entry("unknown", f64::NAN, Some((0.0, 9.0)), false),
        ];
        let html =
            Dots { title: "recall@20".into(), names: "method", entries, decimals: 3, ..Dots::default() }.render();
        assert!(html.contains("class=\"whisker metric\" d=\"M500.0 5H1000.0\""), "{html}");
        assert!(html.contains("class=\"dot metric\" d=\"M750.0 5h0\""), "{html}");
        assert!(html.contains("class=\"dot norm\" d=\"M250.0 5h0\""), "{html}");
        assert!(html.contains("<td>0.300<small>0.200 to 0.400</small></td>"), "{html}");
        assert!(html.contains("<td>0.100</td>") && !html.contains("unknown"), "{html}");
        assert!(html.contains("<span style=\"left:100.00%\">0.4</span>"), "{html}");
    }

    #[test]
    fn a_difference_has_both_sides_of_zero() {
        let entries = vec![entry("recall", -0.02, Some((-0.04, -0.01)), false)];
        let html = Dots { entries, around_zero: true, decimals: 3, ..Dots::default() }.render();
        assert!(html.contains("class=\"line level\" d=\"M1000.0 0V10\""), "{html}");
        assert!(html.contains("−0.020<small>−0.040 to −0.010</small>"), "{html}");
        assert_eq!(Dots::default().render(), "");
    }
}
