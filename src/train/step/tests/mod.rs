//! Whole steps on real sessions: loss curves against PyTorch's, accumulation, dropout, resuming, exporting.

#![allow(clippy::unwrap_used)]

mod blocked;
mod curves;
mod fixtures;
mod methods;
mod session;
