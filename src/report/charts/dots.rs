//! Values of several names beside each other, each with its interval: a line each, a dot with whiskers. Takes names and
//! values; gives a figure that is a table, so that it says in words what it draws.
//!
//! Each line has a drawing of its own, and their grids meet. As in `curves`, drawings are stretched and letters are not.

use maud::{Markup, html};

use super::scale::{Axis, Scale};
use crate::report::text::{fixed, range};

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
    pub(crate) fn render(&self) -> Markup {
        let Some(scale) = self.scale() else { return html! {} };
        html! {
            figure.chart.listed {
                figcaption { h3 { (self.title) } }
                table.dots {
                    thead { tr { th { (self.names) } th aria-hidden="true" {} th { "value, 95% interval" } } }
                    tbody { @for entry in self.drawn() { (self.line(entry, &scale)) } }
                    tfoot aria-hidden="true" {
                        tr {
                            td {}
                            td {
                                div.ticks {
                                    @for (value, label) in scale.ticks() {
                                        span style=(format!("left:{:.2}%", scale.position(value) * 100.0)) { (label) }
                                    }
                                }
                            }
                            td {}
                        }
                    }
                }
            }
        }
    }

    fn drawn(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.value.is_finite())
    }

    /// The axis of all lines; `None` if there is no value to draw.
    fn scale(&self) -> Option<Scale> {
        let ends = self.drawn().flat_map(|entry| {
            let (low, high) = entry.interval.unwrap_or((entry.value, entry.value));
            [entry.value, low, high]
        });
        let values = ends.filter(|value| value.is_finite()).collect::<Vec<_>>();
        if values.is_empty() {
            return None;
        }
        let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        // Dots need no zero to be compared; differences do.
        let (axis, highest) = if self.around_zero { (Axis::FromZero, highest.max(0.0)) } else { (Axis::Even, highest) };
        Some(Scale::new(axis, lowest, highest, 2))
    }

    fn line(&self, entry: &Entry, scale: &Scale) -> Markup {
        let at = |value: f64| scale.position(value) * WIDTH;
        let middle = HEIGHT / 2.0;
        let colour = if entry.chosen { "metric" } else { "norm" };
        let interval = entry.interval.filter(|(low, high)| low.is_finite() && high.is_finite());
        let grid: String = scale.ticks().into_iter().map(|(tick, _)| format!("M{:.1} 0V{HEIGHT}", at(tick))).collect();
        html! {
            tr class=[entry.chosen.then_some("chosen")] {
                th scope="row" { (entry.label) }
                td.drawing {
                    svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" aria-hidden="true" {
                        path.grid d=(grid) {}
                        @if self.around_zero { path.line.level d=(format!("M{:.1} 0V{HEIGHT}", at(0.0))) {} }
                        @if let Some((low, high)) = interval {
                            path class={ "whisker " (colour) } d=(format!("M{:.1} {middle}H{:.1}", at(low), at(high))) {}
                        }
                        path class={ "dot " (colour) } d=(format!("M{:.1} {middle}h0", at(entry.value))) {}
                    }
                }
                td { (fixed(entry.value, self.decimals)) (interval_of(interval, self.decimals)) }
            }
        }
    }
}

/// An interval behind or below its value; nothing where there is none.
pub(crate) fn interval_of(interval: Option<(f64, f64)>, decimals: usize) -> Markup {
    html! { @if let Some(interval) = interval { small { (range(interval, decimals)) } } }
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
        let html = Dots { title: "recall@20".into(), names: "method", entries, decimals: 3, ..Dots::default() }
            .render()
            .into_string();
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
        let html = Dots { entries, around_zero: true, decimals: 3, ..Dots::default() }.render().into_string();
        assert!(html.contains("class=\"line level\" d=\"M1000.0 0V10\""), "{html}");
        assert!(html.contains("−0.020<small>−0.040 to −0.010</small>"), "{html}");
        assert_eq!(Dots::default().render().into_string(), "");
    }
}
