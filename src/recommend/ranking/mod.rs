//! From scores to lists: the best items of every user, the best users of every item, and the slates that are shown.
//!
//! Takes a source of scores ([`BlockScores`]) and gives the best of each row or column ([`top_k`], [`top_pools`],
//! [`top_users`]); takes such pools and gives slates ([`select()`]) under what the shop asks for.
//!
//! - [`blocks`]: the matrix of scores, block by block
//! - `heap`: the best of a stream
//! - [`slates`]: what is shown, and what can be asked of it; `policy`: slates from pools by the three parts below
//! - `diversity`: maximal marginal relevance
//! - `exposure`: a limit on how many slates an item is in; `widen`: pools that are wide enough for one
//! - [`explore`]: draws around the predicted probability, and the propensity of what they chose

pub mod blocks;
mod diversity;
pub mod explore;
mod exposure;
pub(crate) mod heap;
mod policy;
pub mod slates;
mod widen;

pub use blocks::{BlockScores, FactorScores, Pool, TopK, top_k, top_pools, top_users};
pub use explore::Explore;
pub use policy::select;
pub use slates::{PoolInfo, SelectOptions, Slates};
pub use widen::{Source, select_from_all};
