//! The routes, a file each, and how they run a model.

pub(super) mod embed;
pub(super) mod embeddings;
pub(super) mod feedback;
pub(super) mod health;
pub(super) mod inference;
pub(super) mod predict;
pub(super) mod recommend;
pub(super) mod score;
pub(super) mod search;
