//! The bytes are a schedule for the pipeline: what is tracked, what the store and the network answer, how time passes. The model of the
//! pipeline's own tests checks its invariants after every step.

#![no_main]

use amplitude_sdk::fuzzing::{Step, run_schedule};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // Five bytes a step, after two that are the rate of the server in the end. As long as the schedules of the pipeline's own tests.
    let Some((&[low, high], rest)) = data.split_first_chunk::<2>() else { return };
    let (steps, _) = rest.as_chunks::<5>();
    let number = |low: u8, high: u8| 1 + u32::from(u16::from_le_bytes([low, high]) % 299);
    let steps: Vec<Step> = steps.iter().take(160).map(|&[kind, a, b, c, d]| (kind % 12, a, b, number(c, d))).collect();
    run_schedule(&steps, number(low, high));
});
