//! MPNet: no segments, positions as in RoBERTa, and a learned bias on attention scores by distance between tokens.
//! <https://arxiv.org/abs/2004.09297>; the buckets of distances are those of T5, <https://arxiv.org/abs/1910.10683>.

use super::bert::layer_sizes;
use super::config::Config;
use super::encoder::{Encoder, LayerNames};
use super::roberta::usable_positions;
use super::{Error, Result};
use crate::onnx::graph::Value;

/// Fixed in MPNet, whatever `pad_token_id` says.
const PADDING: usize = 1;
/// Buckets that distances fall into: fixed in MPNet, the table may have more rows.
const BUCKETS: usize = 32;
/// Distances from here on share the last bucket.
const MAX_DISTANCE: f32 = 128.0;

const LAYER: LayerNames = LayerNames {
    query: "attention.attn.q",
    key: "attention.attn.k",
    value: "attention.attn.v",
    projection: "attention.attn.o",
    attention_norm: "attention.LayerNorm",
    up: "intermediate.dense",
    down: "output.dense",
    output_norm: "output.LayerNorm",
};

pub(super) fn encoder(encoder: &mut Encoder<'_>, config: &Config<'_>) -> Result<Value> {
    let sizes = layer_sizes(encoder, config)?;
    let rows = config.size("max_position_embeddings")?;
    encoder.max_positions = usable_positions(rows, PADDING)?;
    let inputs = encoder.inputs();
    encoder.graph.scope("embeddings");
    let words = encoder.embedding(&inputs.ids, "embeddings.word_embeddings", config.size("vocab_size")?)?;
    let positions = encoder.positions_after_padding(&inputs.ids, PADDING);
    let positions = encoder.embedding(&positions, "embeddings.position_embeddings", rows)?;
    let sum = encoder.graph.add(&words, &positions);
    let mut x = encoder.layer_norm(&sum, "embeddings.LayerNorm", sizes.epsilon)?;
    let bias = relative_bias(encoder, config, &inputs.ids, sizes.heads)?;
    for layer in 0..config.size("num_hidden_layers")? {
        x = encoder.layer(&x, &format!("encoder.layer.{layer}"), &LAYER, sizes, &inputs.mask, Some(&bias))?;
    }
    Ok(x)
}

/// The bias by distance, `[1, heads, sequence, sequence]`. The buckets of all distances are a constant, because a
/// logarithm in the graph could round a distance into another bucket on another device.
fn relative_bias(encoder: &mut Encoder<'_>, config: &Config<'_>, ids: &Value, heads: usize) -> Result<Value> {
    let rows = config.size_or("relative_attention_num_buckets", BUCKETS)?;
    if rows < BUCKETS {
        return Err(Error::Config {
            key: "relative_attention_num_buckets".into(),
            problem: format!("is {rows}; MPNet uses {BUCKETS}"),
        });
    }
    let table = encoder.parameter("encoder.relative_attention_bias.weight", &[rows, heads])?;
    let furthest = encoder.max_positions as i64 - 1;
    let buckets = (-furthest..=furthest).map(bucket).collect::<Vec<_>>();

    encoder.graph.scope("encoder.relative_attention_bias");
    let graph = &mut encoder.graph;
    let buckets = graph.tensor_i64("encoder.relative_attention_bias.buckets", &[buckets.len()], &buckets);
    let length = graph.size(ids, 1);
    let positions = graph.range(&length);
    let keys = graph.unsqueeze(&positions, &[0]);
    let queries = graph.unsqueeze(&positions, &[1]);
    let distances = graph.sub(&keys, &queries);
    let first = graph.scalar_i64(furthest);
    let places = graph.add(&distances, &first);
    let buckets = graph.gather(&buckets, &places, 0);
    let bias = graph.gather(&table, &buckets, 0);
    let bias = graph.transpose(&bias, &[2, 0, 1]);
    Ok(graph.unsqueeze(&bias, &[0]))
}

/// The bucket of the distance `key - query`: half of the buckets for each direction; in each, half for single
/// distances and half for logarithmic ranges up to [`MAX_DISTANCE`]. In `f32`, as the model was trained.
fn bucket(distance: i64) -> i64 {
    let half = BUCKETS as i64 / 2;
    let exact = half / 2;
    let direction = if distance > 0 { half } else { 0 };
    let size = distance.abs();
    if size < exact {
        return direction + size;
    }
    let ratio = (size as f32 / exact as f32).ln() / (MAX_DISTANCE / exact as f32).ln();
    direction + (exact + (ratio * (half - exact) as f32) as i64).min(half - 1)
}

#[cfg(test)]
mod tests {
    use super::bucket;

    #[test]
    fn buckets_at_the_edges_of_their_ranges() {
        let cases =
            [(0, 0), (-7, 7), (-8, 8), (-11, 8), (-12, 9), (-15, 9), (-16, 10), (-32, 12), (-64, 14), (-90, 14)];
        for (distance, expected) in cases.into_iter().chain([(-91, 15), (-128, 15), (-511, 15)]) {
            assert_eq!(bucket(distance), expected, "{distance}");
            if distance != 0 {
                assert_eq!(bucket(-distance), expected + 16, "{}", -distance);
            }
        }
    }
}
