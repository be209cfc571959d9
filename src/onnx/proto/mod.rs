//! The messages of the ONNX format (IR version 14 and older), for `prost`: bytes in, structs out, and back.
//!
//! Field numbers and types are those of `onnx-ml.proto` in the ONNX specification. Every field is here and every scalar
//! keeps its presence, because `prost` drops what it does not know and a model of somebody else's must survive being
//! read and written.

mod model;
mod placement;
mod tensor;
mod types;

pub use model::{
    AttributeProto, AttributeType, FunctionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    StringStringEntryProto, TrainingInfoProto,
};
pub use placement::{
    DeviceConfigurationProto, IntIntListEntryProto, NodeDeviceConfigurationProto, ShardedDimProto, ShardingSpecProto,
    SimpleShardedDimProto,
};
pub use tensor::{DataLocation, DataType, Segment, SparseTensorProto, TensorAnnotation, TensorProto};
pub use types::{Dimension, DimensionValue, TensorShapeProto, TypeProto, ValueInfoProto, type_proto};

/// Newest IR version whose fields are all covered here.
pub const NEWEST_IR_VERSION: i64 = 14;
