//! ONNX graphs: takes model files and checkpoints, gives graphs that the runtime can run.
//!
//! # Layout
//! - [`proto`]: the messages of the format
//! - [`file`](mod@file): reading a model, writing one with its weights in a file beside it
//! - [`external`]: where a model's outside data is, and whether it may be there
//! - [`graph`]: building a graph operator by operator
//! - [`weights`]: checkpoints in safetensors or state dicts of PyTorch, memory-mapped
//! - [`architectures`]: from a `config.json` and weights to a graph
//! - [`join`](mod@join): two graphs as one
//! - [`shapes`]: element types and shapes of the values of a graph, as far as they are known before it runs
//! - [`fuse`](mod@fuse): rewriting attention into the runtime's own operator, for scoring
//!
//! `registry` imports and checks models with it, `inference` fuses what it opens. Nothing here runs a model.

pub mod architectures;
mod error;
pub mod external;
pub mod file;
pub mod fuse;
pub mod graph;
pub mod join;
pub mod proto;
pub mod shapes;
pub mod weights;

pub use error::{Error, Result};
pub use external::check_external_data;
