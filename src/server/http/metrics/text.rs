//! Prometheus' text format, version 0.0.4: takes the counters; gives lines.

use std::fmt::{Display, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Histogram, Metrics, ModelMetrics, lock};

/// The media type of what [`write`] gives.
pub(in super::super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All counters. `gauges` are numbers that are asked for now: name, meaning, value.
pub(in super::super) fn write(metrics: &Metrics, gauges: &[(&str, &str, u64)]) -> String {
    let mut text = Text(String::with_capacity(4096));
    text.head("debut_http_requests_total", "counter", "Requests that were answered.");
    for ((route, status), count) in lock(&metrics.requests).iter() {
        text.line("debut_http_requests_total", &[("route", route), ("status", &status.to_string())], count);
    }
    text.head("debut_http_request_duration_seconds", "histogram", "Time from the head of a request to its answer.");
    for (route, latency) in lock(&metrics.latencies).iter() {
        text.histogram("debut_http_request_duration_seconds", ("route", route), latency);
    }
    let models = lock(&metrics.models);
    let by_model = |text: &mut Text, name, kind, help, value: fn(&ModelMetrics) -> &AtomicU64| {
        text.head(name, kind, help);
        for (model, counters) in models.iter() {
            text.line(name, &[("model", model)], read(value(counters)));
        }
    };
    by_model(&mut text, "debut_model_rows_total", "counter", "Rows computed by micro-batches.", |model| &model.rows);
    by_model(&mut text, "debut_model_tokens_total", "counter", "Tokens computed, without padding.", |m| &m.tokens);
    by_model(&mut text, "debut_model_queue_rows", "gauge", "Rows that wait for the model.", |m| &m.queued_rows);
    let name = "debut_model_batch_requests_total";
    by_model(&mut text, name, "counter", "Requests, counted once for each call of the model that they were in.", |m| {
        &m.batch_requests
    });
    text.head("debut_model_batch_rows", "histogram", "Rows in one call of the model.");
    for (model, counters) in models.iter() {
        text.histogram("debut_model_batch_rows", ("model", model), &counters.batch_rows);
    }
    drop(models);
    for (name, help, counter) in [
        ("debut_feedback_events_total", "Events of feedback that are on the disk.", &metrics.feedback_events),
        ("debut_feedback_files_total", "Files that feedback was written to.", &metrics.feedback_files),
        ("debut_feedback_merges_total", "Times that small files became a larger one.", &metrics.feedback_merges),
    ] {
        text.head(name, "counter", help);
        text.line(name, &[], read(counter));
    }
    for (name, help, value) in [
        ("debut_http_requests_running", "Requests that are being answered.", read(&metrics.running)),
        ("debut_http_connections", "Connections that are open.", read(&metrics.connections)),
    ]
    .iter()
    .chain(gauges)
    {
        text.head(name, "gauge", help);
        text.line(name, &[], value);
    }
    text.0
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// Lines of metrics. Writing to a string does not fail.
struct Text(String);

impl Text {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (place, (label, value)) in labels.iter().enumerate() {
            let _ = write!(self.0, "{}{label}=\"", if place == 0 { '{' } else { ',' });
            for character in value.chars() {
                match character {
                    '\\' => self.0.push_str("\\\\"),
                    '"' => self.0.push_str("\\\""),
                    '\n' => self.0.push_str("\\n"),
                    other => self.0.push(other),
                }
            }
            self.0.push('"');
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    fn histogram(&mut self, name: &str, label: (&str, &str), histogram: &Histogram) {
        let mut count = 0;
        let bounds = histogram.bounds.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
        for (bound, bucket) in bounds.zip(&histogram.buckets) {
            count += read(bucket);
            self.line(&format!("{name}_bucket"), &[label, ("le", &bound)], count);
        }
        self.line(&format!("{name}_sum"), &[label], read(&histogram.micros) as f64 / 1e6);
        self.line(&format!("{name}_count"), &[label], count);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn counters_are_lines_that_prometheus_reads() {
        let metrics = Metrics::default();
        metrics.answered("/v1/embed", 200, Duration::from_millis(3));
        metrics.answered("/v1/embed", 200, Duration::from_secs(100));
        metrics.model("a\"b\\c@1").rows.fetch_add(7, Ordering::Relaxed);
        let text = write(&metrics, &[("debut_memory_bytes", "Memory.", 5)]);
        for line in [
            "debut_http_requests_total{route=\"/v1/embed\",status=\"200\"} 2",
            "debut_http_request_duration_seconds_bucket{route=\"/v1/embed\",le=\"0.0025\"} 0",
            "debut_http_request_duration_seconds_bucket{route=\"/v1/embed\",le=\"0.005\"} 1",
            "debut_http_request_duration_seconds_bucket{route=\"/v1/embed\",le=\"+Inf\"} 2",
            "debut_http_request_duration_seconds_sum{route=\"/v1/embed\"} 100.003",
            "debut_http_request_duration_seconds_count{route=\"/v1/embed\"} 2",
            "debut_model_rows_total{model=\"a\\\"b\\\\c@1\"} 7",
            "debut_memory_bytes 5",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            assert!(line.rsplit_once(' ').is_some_and(|(_, value)| value.parse::<f64>().is_ok()), "{line}");
        }
    }
}
