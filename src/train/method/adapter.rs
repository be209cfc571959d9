//! Adapters: behind each attention and feed-forward block a small network with a narrow middle is put in and trained,
//! `y + relu(y D + d) U + u`; it stays in the graph. <https://arxiv.org/abs/1902.00751>

use super::modules::linears;
use crate::random::Random;
use crate::train::encoder::Encoder;
use crate::train::error::Error;
use crate::train::parameter::Parameter;

/// Deviation of the first values of the way down, as in the paper. The way up starts at zero, so that training begins
/// at the model as it was.
const DEVIATION: f32 = 1e-2;
/// In the names of all of an adapter's tensors.
pub(super) const MARK: &str = ".adapter.";
/// At the end of the name of the one whose length is the adapter's width.
pub(super) const BIAS: &str = "down.bias";

pub(super) fn edit(encoder: &mut Encoder, width: usize, seed: u64) -> Result<(), Error> {
    let linears = linears(&encoder.graph);
    let blocks = linears.iter().filter(|linear| linear.uses.iter().any(|r#use| r#use.ends_block)).collect::<Vec<_>>();
    if blocks.is_empty() {
        let reason = format!(
            "none of the graph's {} linear layers ends a block (what it gives is added to what went in)",
            linears.len()
        );
        return Err(Error::NothingToTrain { method: "adapter", reason });
    }
    let mut random = Random::expanded(seed);
    for linear in blocks {
        let size = linear.to;
        if !(1..=size).contains(&width) {
            let expected = format!("from 1 to {size}, the width of what '{}' gives", linear.name);
            return Err(Error::Option { option: "width", value: width.to_string(), expected });
        }
        let name = |part: &str| format!("{}{MARK}{part}", linear.name);
        let down = Parameter::new(name("down.weight"), &[size, width], random.normals(size * width, DEVIATION));
        let down_bias = Parameter::new(name("down.bias"), &[width], vec![0.0; width]);
        let up = Parameter::new(name("up.weight"), &[width, size], vec![0.0; width * size]);
        let up_bias = Parameter::new(name("up.bias"), &[size], vec![0.0; size]);
        let [down, down_bias] = [encoder.declare(down)?, encoder.declare(down_bias)?];
        let [up, up_bias] = [encoder.declare(up)?, encoder.declare(up_bias)?];
        encoder.graph.scope(format!("{}/adapter", linear.name));
        for r#use in linear.uses.iter().filter(|r#use| r#use.ends_block) {
            let y = encoder.current(&r#use.output);
            let graph = &mut encoder.graph;
            let narrow = graph.matmul(&y, &down);
            let first = narrow.clone();
            let narrow = graph.add(&narrow, &down_bias);
            let narrow = graph.relu(&narrow);
            let wide = graph.matmul(&narrow, &up);
            let wide = graph.add(&wide, &up_bias);
            let sum = graph.add(&y, &wide);
            encoder.replace(&y, &sum, &[first.name(), sum.name()]);
        }
    }
    Ok(())
}
