//! Types and shapes of values. Part of [`super`].

use prost::{Message, Oneof};

use super::StringStringEntryProto;

/// A value's name and type.
#[derive(Clone, PartialEq, Message)]
pub struct ValueInfoProto {
    /// Its name.
    #[prost(string, optional, tag = "1")]
    pub name: Option<String>,
    /// Its type.
    #[prost(message, optional, tag = "2")]
    pub r#type: Option<TypeProto>,
    /// For people.
    #[prost(string, optional, tag = "3")]
    pub doc_string: Option<String>,
    /// Free pairs.
    #[prost(message, repeated, tag = "4")]
    pub metadata_props: Vec<StringStringEntryProto>,
}

/// A type.
#[derive(Clone, PartialEq, Message)]
pub struct TypeProto {
    /// Which one.
    #[prost(oneof = "type_proto::Value", tags = "1, 4, 5, 9, 8, 7")]
    pub value: Option<type_proto::Value>,
    /// A standard meaning, for people.
    #[prost(string, optional, tag = "6")]
    pub denotation: Option<String>,
}

/// The kinds of [`TypeProto`].
pub mod type_proto {
    use super::{Message, Oneof, TensorShapeProto, TypeProto};

    /// Which kind of type.
    #[derive(Clone, PartialEq, Oneof)]
    pub enum Value {
        /// A dense tensor.
        #[prost(message, tag = "1")]
        TensorType(Tensor),
        /// A sequence.
        #[prost(message, tag = "4")]
        SequenceType(Box<Sequence>),
        /// A map.
        #[prost(message, tag = "5")]
        MapType(Box<Map>),
        /// A value that may be absent.
        #[prost(message, tag = "9")]
        OptionalType(Box<Optional>),
        /// A sparse tensor.
        #[prost(message, tag = "8")]
        SparseTensorType(SparseTensor),
        /// A type that only its domain knows.
        #[prost(message, tag = "7")]
        OpaqueType(Opaque),
    }

    /// A dense tensor's type.
    #[derive(Clone, PartialEq, Message)]
    pub struct Tensor {
        /// Element type, a [`DataType`](crate::onnx::proto::DataType).
        #[prost(int32, optional, tag = "1")]
        pub elem_type: Option<i32>,
        /// Shape, where known.
        #[prost(message, optional, tag = "2")]
        pub shape: Option<TensorShapeProto>,
    }

    /// A sequence's type.
    #[derive(Clone, PartialEq, Message)]
    pub struct Sequence {
        /// Type of its elements.
        #[prost(message, optional, boxed, tag = "1")]
        pub elem_type: Option<Box<TypeProto>>,
    }

    /// A map's type.
    #[derive(Clone, PartialEq, Message)]
    pub struct Map {
        /// Type of its keys, a [`DataType`](crate::onnx::proto::DataType).
        #[prost(int32, optional, tag = "1")]
        pub key_type: Option<i32>,
        /// Type of its values.
        #[prost(message, optional, boxed, tag = "2")]
        pub value_type: Option<Box<TypeProto>>,
    }

    /// An optional value's type.
    #[derive(Clone, PartialEq, Message)]
    pub struct Optional {
        /// Type of the value.
        #[prost(message, optional, boxed, tag = "1")]
        pub elem_type: Option<Box<TypeProto>>,
    }

    /// A sparse tensor's type.
    #[derive(Clone, PartialEq, Message)]
    pub struct SparseTensor {
        /// Element type, a [`DataType`](crate::onnx::proto::DataType).
        #[prost(int32, optional, tag = "1")]
        pub elem_type: Option<i32>,
        /// Shape, where known.
        #[prost(message, optional, tag = "2")]
        pub shape: Option<TensorShapeProto>,
    }

    /// An opaque type.
    #[derive(Clone, PartialEq, Message)]
    pub struct Opaque {
        /// Its domain.
        #[prost(string, optional, tag = "1")]
        pub domain: Option<String>,
        /// Its name.
        #[prost(string, optional, tag = "2")]
        pub name: Option<String>,
    }
}

/// A shape, of which some dimensions may be symbols.
#[derive(Clone, PartialEq, Message)]
pub struct TensorShapeProto {
    /// The dimensions.
    #[prost(message, repeated, tag = "1")]
    pub dim: Vec<Dimension>,
}

/// One dimension.
#[derive(Clone, PartialEq, Message)]
pub struct Dimension {
    /// A size or a symbol.
    #[prost(oneof = "DimensionValue", tags = "1, 2")]
    pub value: Option<DimensionValue>,
    /// A standard meaning, for people.
    #[prost(string, optional, tag = "3")]
    pub denotation: Option<String>,
}

/// A dimension's size.
#[derive(Clone, PartialEq, Oneof)]
pub enum DimensionValue {
    /// Known.
    #[prost(int64, tag = "1")]
    DimValue(i64),
    /// A symbol: equal names are equal sizes.
    #[prost(string, tag = "2")]
    DimParam(String),
}
