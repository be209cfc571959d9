//! Tensors that a step reads and writes: each is there twice, and a step reads one side and writes the other, so that
//! nothing is copied between steps and a step that went wrong leaves what it read as it was.

use ort::memory::Allocator;
use ort::session::IoBinding;
use ort::value::{Tensor, Value};

use super::graph::next;

/// A set of `f32` tensors, on the device of their allocator.
#[derive(Debug)]
pub(super) struct Buffers {
    names: Vec<String>,
    shapes: Vec<Vec<usize>>,
    sides: [Vec<Tensor<f32>>; 2],
    current: usize,
}

impl Buffers {
    /// Tensors of zeros.
    pub(super) fn new(
        allocator: &Allocator,
        tensors: impl Iterator<Item = (String, Vec<usize>)>,
    ) -> Result<Self, ort::Error> {
        let (names, shapes): (Vec<_>, Vec<_>) = tensors.unzip();
        let side = || shapes.iter().map(|shape| Tensor::new(allocator, shape.clone())).collect::<Result<Vec<_>, _>>();
        let mut buffers = Self { sides: [side()?, side()?], names, shapes, current: 0 };
        for index in 0..buffers.names.len() {
            let zeros = vec![0.0; buffers.elements(index)];
            buffers.write(index, &zeros)?;
        }
        Ok(buffers)
    }

    fn elements(&self, index: usize) -> usize {
        self.shapes[index].iter().product()
    }

    /// Which side is read.
    pub(super) fn side(&self) -> usize {
        self.current
    }

    /// Reads from now on what was written.
    pub(super) fn swap(&mut self) {
        self.current = 1 - self.current;
    }

    /// Names and shapes, in order.
    pub(super) fn tensors(&self) -> impl Iterator<Item = (&str, &[usize])> {
        self.names.iter().map(String::as_str).zip(self.shapes.iter().map(Vec::as_slice))
    }

    /// Place of a tensor.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|other| other == name)
    }

    /// Binds the side that is read as inputs, and the other as outputs if `outputs`, for the names that `takes`.
    pub(super) fn bind(
        &mut self,
        binding: &mut IoBinding,
        outputs: bool,
        takes: impl Fn(&str) -> bool,
    ) -> Result<(), ort::Error> {
        let [first, second] = &mut self.sides;
        let (read, written) = if self.current == 0 { (first, second) } else { (second, first) };
        for ((name, read), written) in self.names.iter().zip(read).zip(written) {
            if takes(name) {
                binding.bind_input(name.as_str(), read)?;
            }
            if outputs {
                binding.bind_output(next(name), written)?;
            }
        }
        Ok(())
    }

    /// Values of a tensor on the side that is read.
    pub(super) fn read(&self, index: usize) -> Result<Vec<f32>, ort::Error> {
        let tensor = &self.sides[self.current][index];
        if tensor.memory_info().is_cpu_accessible() {
            return Ok(tensor.extract_tensor().1.to_vec());
        }
        let mut host = Tensor::<f32>::new(&Allocator::default(), self.shapes[index].clone())?;
        tensor.copy_into(&mut host)?;
        Ok(host.extract_tensor().1.to_vec())
    }

    /// Sets a tensor on the side that is read; `values` are as many as it has.
    pub(super) fn write(&mut self, index: usize, values: &[f32]) -> Result<(), ort::Error> {
        let tensor = &mut self.sides[self.current][index];
        if tensor.memory_info().is_cpu_accessible() {
            tensor.extract_tensor_mut().1.copy_from_slice(values);
            return Ok(());
        }
        let host: Value<_> = Tensor::from_array((self.shapes[index].clone(), values.to_vec()))?;
        host.copy_into(tensor)
    }
}
