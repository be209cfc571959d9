//! A table with a bar before each value, from zero, so that its columns are read like charts. Takes names and values; gives a
//! table.
//!
//! As in `curves`, drawings are stretched and letters are not.

use maud::{Markup, html};

use crate::report::text::fixed;

/// Width and height of a drawing in its own units.
const SIZE: (f64, f64) = (1000.0, 10.0);

/// A line of the table.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Line {
    /// Whose values they are.
    pub(crate) label: String,
    /// What that is, in small letters below.
    pub(crate) about: String,
    /// A value for each column, where there is one.
    pub(crate) values: Vec<Option<f64>>,
    /// Whether it is what the table is about.
    pub(crate) chosen: bool,
}

/// The table.
#[derive(Debug, Default)]
pub(crate) struct Bars {
    /// What the lines are called.
    pub(crate) names: &'static str,
    /// What the columns are called. Each has a scale of its own.
    pub(crate) columns: Vec<String>,
    /// The lines, from above.
    pub(crate) lines: Vec<Line>,
    /// Digits behind the point.
    pub(crate) decimals: usize,
}

impl Bars {
    /// The table; nothing if there is no line.
    pub(crate) fn render(&self) -> Markup {
        let scales = (0..self.columns.len()).map(|column| self.scale(column)).collect::<Vec<_>>();
        html! {
            @if !self.lines.is_empty() {
                div.wide {
                    table.bars {
                        thead { tr { th { (self.names) } @for name in &self.columns { th { (name) } } } }
                        tbody { @for line in &self.lines { (self.line(line, &scales)) } }
                    }
                }
            }
        }
    }

    /// The least and the greatest value of a column, zero among them.
    fn scale(&self, column: usize) -> (f64, f64) {
        let values = self.lines.iter().filter_map(|line| line.values.get(column).copied().flatten());
        values
            .filter(|value| value.is_finite())
            .fold((0.0, 0.0), |(low, high): (f64, f64), value| (low.min(value), high.max(value)))
    }

    fn line(&self, line: &Line, scales: &[(f64, f64)]) -> Markup {
        html! {
            tr class=[line.chosen.then_some("chosen")] {
                th scope="row" { (line.label) @if !line.about.is_empty() { small { (line.about) } } }
                @for (column, scale) in scales.iter().enumerate() { (self.cell(line, column, *scale)) }
            }
        }
    }

    fn cell(&self, line: &Line, column: usize, (low, high): (f64, f64)) -> Markup {
        let value = line.values.get(column).copied().flatten();
        let Some(value) = value.filter(|value| value.is_finite()) else { return html! { td { "–" } } };
        let (width, height) = SIZE;
        let at = |value: f64| if high > low { (value - low) / (high - low) * width } else { 0.0 };
        let colour = if line.chosen { "metric" } else { "train" };
        let bar = format!("M{:.1} {}H{:.1}", at(0.0), height / 2.0, at(value));
        html! {
            td {
                svg viewBox={ "0 0 " (width) " " (height) } preserveAspectRatio="none" aria-hidden="true" {
                    path class=(colour) d=(bar) {}
                }
                span { (fixed(value, self.decimals)) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_begin_at_zero_and_each_column_has_its_scale() {
        let line = |label: &str, values: [Option<f64>; 2], chosen| Line {
            label: label.into(),
            about: String::new(),
            values: values.into(),
            chosen,
        };
        let lines = vec![
            line("all", [None, Some(0.5)], true),
            line("words", [Some(0.3), Some(0.25)], false),
            line("price", [Some(-0.1), Some(f64::NAN)], false),
        ];
        let columns = vec!["weight".to_owned(), "recall".to_owned()];
        let html = Bars { names: "component", columns, lines, decimals: 2 }.render().into_string();
        // From -0.1 to 0.3: zero lies at a quarter.
        assert!(
            html.contains("<path class=\"train\" d=\"M250.0 5H1000.0\"></path></svg><span>0.30</span></td>"),
            "{html}"
        );
        assert!(
            html.contains("<path class=\"train\" d=\"M250.0 5H0.0\"></path></svg><span>−0.10</span></td>"),
            "{html}"
        );
        assert!(
            html.contains("<path class=\"metric\" d=\"M0.0 5H1000.0\"></path></svg><span>0.50</span></td>"),
            "{html}"
        );
        assert!(
            html.contains("<path class=\"train\" d=\"M0.0 5H500.0\"></path></svg><span>0.25</span></td>"),
            "{html}"
        );
        assert_eq!(html.matches("<td>–</td>").count(), 2);
        assert_eq!(Bars::default().render().into_string(), "");
    }
}
