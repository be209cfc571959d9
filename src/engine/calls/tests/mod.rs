//! Calls from SQL to their rows, over workers that say what they were asked instead of working.

mod finetune;
mod recommend;
