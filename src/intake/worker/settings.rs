//! What the workers serve by, and what a reload replaces.

use crate::push::{self, Input, route};

/// Where pushes arrive and how they are mapped, and the bounds of a push.
#[derive(Debug)]
pub struct InputSettings {
    pub(super) inputs: Vec<Input>,
    /// Those of the inputs, in the same order.
    pub(super) endpoints: Vec<route::Endpoint>,
    pub(super) push: push::PushLimits,
}

impl InputSettings {
    /// The settings of these inputs.
    pub fn new(inputs: Vec<Input>, push: push::PushLimits) -> InputSettings {
        let endpoints = inputs.iter().map(|input| input.endpoint.clone()).collect();
        InputSettings { inputs, endpoints, push }
    }
}
