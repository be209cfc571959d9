//! Who does the work of a session's functions.
//!
//! Takes the implementations of the traits of `debut_udfs`; holds them for the planners.

use std::sync::Arc;

use debut_udfs::compress::Compressor;
use debut_udfs::model::ModelProvider;
use debut_udfs::recommender::Recommenders;
use debut_udfs::trainer::Trainer;

/// Who works for a session.
#[derive(Debug, Clone)]
pub struct Workers {
    /// Finds and runs models.
    pub models: Arc<dyn ModelProvider>,
    /// Trains them.
    pub trainer: Arc<dyn Trainer>,
    /// Makes them smaller.
    pub compressor: Arc<dyn Compressor>,
    /// Recommends with them.
    pub recommenders: Arc<dyn Recommenders>,
}
