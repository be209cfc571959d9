//! Pickles without code: takes the bytes of a pickle, gives the values in it. It reads what PyTorch writes of a state dict
//! (numbers, texts, tuples, lists, dicts and references to storages) and the few calls that rebuild tensors from them.
//! Every other call, class or opcode is an error that names it; nothing is ever looked up or run.
//!
//! Values lie in one list and refer to each other by number, so that neither a pickle that nests a million tuples nor one
//! that contains itself needs a deep stack. An opcode makes at most one value: the memory is a multiple of the pickle's
//! size, which is limited.
//!
//! Opcodes: <https://github.com/python/cpython/blob/main/Lib/pickletools.py>. The calls are those that
//! `torch.load(weights_only=True)` needs for tensors.

use std::collections::HashMap;

use safetensors::Dtype;

/// A longer pickle describes no state dict: the largest have some thousands of tensors at a few hundred bytes each.
pub(super) const LONGEST: usize = 8 << 20;

/// The number of a value in a [`Pickle`].
pub(super) type Id = u32;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'a str),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    /// Keys and values, in order.
    Dict(Vec<(Id, Id)>),
    Global(Global),
    /// What a persistent id refers to.
    Persistent(Id),
    Tensor(Tensor),
}

/// The names that may be looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Global {
    OrderedDict,
    /// Storage, offset, size, strides.
    RebuildTensor,
    /// A tensor that is trained.
    RebuildParameter,
    /// `torch.Size`, a tuple.
    Size,
    /// The type of the elements of a storage.
    Storage(Dtype),
}

/// A tensor as it lies in a storage. Nothing about it is checked yet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Tensor {
    pub(super) storage: Id,
    /// Where it begins, in elements.
    pub(super) offset: Id,
    pub(super) size: Id,
    pub(super) strides: Id,
}

/// The values of a pickle.
#[derive(Debug)]
pub(super) struct Pickle<'a> {
    values: Vec<Value<'a>>,
    /// The value of the whole.
    pub(super) root: Id,
    /// How long it was, in bytes.
    pub(super) length: usize,
}

impl<'a> Pickle<'a> {
    /// Reads the pickle that `bytes` begin with.
    ///
    /// # Errors
    /// It ends too early, is too long, is none, or holds anything that a state dict does not need.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, String> {
        let mut machine = Machine::new(&bytes[..bytes.len().min(LONGEST)]);
        let root = machine.run().map_err(|reason| format!("{reason} (at byte {} of the pickle)", machine.opcode))?;
        Ok(Self { values: machine.values, root, length: machine.at })
    }

    pub(super) fn get(&self, id: Id) -> &Value<'a> {
        self.values.get(id as usize).unwrap_or(&Value::None)
    }

    /// The numbers of all values.
    pub(super) fn ids(&self) -> impl Iterator<Item = Id> {
        (0..self.values.len()).map(|index| index as Id)
    }

    pub(super) fn text(&self, id: Id) -> Option<&'a str> {
        if let Value::Text(text) = self.get(id) { Some(text) } else { None }
    }

    /// A whole number that is not negative.
    pub(super) fn number(&self, id: Id) -> Option<usize> {
        if let Value::Int(number) = self.get(id) { usize::try_from(*number).ok() } else { None }
    }

    /// A tuple or list of whole numbers that are not negative. A tensor of more than eight dimensions is none of a model.
    pub(super) fn numbers(&self, id: Id) -> Option<Vec<usize>> {
        match self.get(id) {
            Value::Tuple(items) | Value::List(items) if items.len() <= 8 => {
                items.iter().map(|item| self.number(*item)).collect()
            }
            _ => None,
        }
    }

    /// The value of a dict under a text.
    pub(super) fn find(&self, dict: &[(Id, Id)], key: &str) -> Option<Id> {
        dict.iter().rev().find(|(name, _)| self.text(*name) == Some(key)).map(|(_, value)| *value)
    }
}

/// The stack machine that a pickle is a program for.
struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Where the opcode that runs begins.
    opcode: usize,
    values: Vec<Value<'a>>,
    stack: Vec<Id>,
    /// Heights of the stack at which something began.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl<'a> Machine<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, opcode: 0, values: Vec::new(), stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() }
    }

    fn run(&mut self) -> Result<Id, String> {
        loop {
            self.opcode = self.at;
            match self.byte()? {
                b'\x80' => self.version()?,
                b'\x95' => drop(self.take(8)?), // the length of a frame; frames only help readers of streams
                b'.' => return self.pop(),
                b'(' => self.marks.push(self.stack.len()),
                b'0' => drop(self.pop()?),
                b'1' => drop(self.since_mark()?),
                b'N' => self.push(Value::None),
                b'\x88' => self.push(Value::Bool(true)),
                b'\x89' => self.push(Value::Bool(false)),
                b'J' => self.int::<4>(|bytes| i64::from(i32::from_le_bytes(bytes)))?,
                b'K' => self.int::<1>(|bytes| i64::from(bytes[0]))?,
                b'M' => self.int::<2>(|bytes| i64::from(u16::from_le_bytes(bytes)))?,
                b'\x8a' => self.long()?,
                b'G' => {
                    let float = f64::from_be_bytes(self.array()?);
                    self.push(Value::Float(float));
                }
                b'X' => {
                    let length = self.size::<4>()?;
                    self.push_text(length)?;
                }
                b'\x8c' | b'U' => {
                    let length = self.size::<1>()?;
                    self.push_text(length)?;
                }
                b'\x8d' => {
                    let length = self.size::<8>()?;
                    self.push_text(length)?;
                }
                b')' => self.push(Value::Tuple(Vec::new())),
                b't' => {
                    let items = self.since_mark()?;
                    self.push(Value::Tuple(items));
                }
                count @ b'\x85'..=b'\x87' => {
                    let height = self.stack.len().checked_sub(usize::from(count - 0x84)).ok_or_else(underflow)?;
                    let items = self.stack.split_off(self.guarded(height)?);
                    self.push(Value::Tuple(items));
                }
                b']' => self.push(Value::List(Vec::new())),
                b'a' => {
                    let item = self.pop()?;
                    self.append(vec![item])?;
                }
                b'e' => {
                    let items = self.since_mark()?;
                    self.append(items)?;
                }
                b'}' => self.push(Value::Dict(Vec::new())),
                b's' => {
                    let value = self.pop()?;
                    let key = self.pop()?;
                    self.set(vec![key, value])?;
                }
                b'u' => {
                    let items = self.since_mark()?;
                    self.set(items)?;
                }
                b'q' | b'h' | b'r' | b'j' | b'\x94' => self.memorise()?,
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.push_global(module, name)?;
                }
                b'\x93' => {
                    let (name, module) = (self.pop()?, self.pop()?);
                    match (self.values.get(module as usize), self.values.get(name as usize)) {
                        (Some(Value::Text(module)), Some(Value::Text(name))) => self.push_global(module, name)?,
                        _ => return Err("the name of a global is not a text".to_owned()),
                    }
                }
                b'R' | b'\x81' => self.call()?,
                b'b' => self.build()?,
                b'Q' => {
                    let id = self.pop()?;
                    self.push(Value::Persistent(id));
                }
                other => return Err(unknown(other)),
            }
        }
    }

    fn version(&mut self) -> Result<(), String> {
        match self.byte()? {
            2..=5 => Ok(()),
            other => Err(format!("it is written in version {other} of the format; 2 to 5 can be read")),
        }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| match self.bytes.len() {
            LONGEST => format!("it is longer than {LONGEST} bytes"),
            _ => "it ends too early".to_owned(),
        })?;
        let part = &self.bytes[self.at..end];
        self.at = end;
        Ok(part)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn byte(&mut self) -> Result<u8, String> {
        Ok(self.take(1)?[0])
    }

    /// A length of `N` bytes.
    fn size<const N: usize>(&mut self) -> Result<usize, String> {
        let mut wide = [0; 8];
        wide[..N].copy_from_slice(self.take(N)?);
        usize::try_from(u64::from_le_bytes(wide)).map_err(|_| "it ends too early".to_owned())
    }

    /// Up to the next line feed.
    fn line(&mut self) -> Result<&'a str, String> {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().position(|byte| *byte == b'\n').ok_or("it ends too early")?;
        let line = self.take(length + 1)?;
        std::str::from_utf8(&line[..length]).map_err(|_| "the name of a global is not a text".to_owned())
    }

    fn int<const N: usize>(&mut self, of: fn([u8; N]) -> i64) -> Result<(), String> {
        let value = of(self.array()?);
        self.push(Value::Int(value));
        Ok(())
    }

    /// An integer of any length. Longer ones than 8 bytes occur only as PyTorch's own signature, whose value is no size.
    fn long(&mut self) -> Result<(), String> {
        let length = self.size::<1>()?;
        let bytes = self.take(length)?;
        let fill = if bytes.last().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 };
        let mut wide = [fill; 8];
        let used = length.min(8);
        wide[..used].copy_from_slice(&bytes[..used]);
        let value = if length <= 8 { i64::from_le_bytes(wide) } else { i64::MIN };
        self.push(Value::Int(value));
        Ok(())
    }

    fn push(&mut self, value: Value<'a>) {
        // No more values than bytes, of which there are fewer than 2^32.
        self.stack.push(self.values.len() as Id);
        self.values.push(value);
    }

    fn push_text(&mut self, length: usize) -> Result<(), String> {
        let bytes = self.take(length)?;
        let text = std::str::from_utf8(bytes).map_err(|_| "a text in it is not UTF-8")?;
        self.push(Value::Text(text));
        Ok(())
    }

    /// A height of the stack, which must not be below the last mark.
    fn guarded(&self, height: usize) -> Result<usize, String> {
        if height < self.marks.last().copied().unwrap_or(0) { Err(underflow()) } else { Ok(height) }
    }

    fn pop(&mut self) -> Result<Id, String> {
        self.guarded(self.stack.len().checked_sub(1).ok_or_else(underflow)?)?;
        self.stack.pop().ok_or_else(underflow)
    }

    fn top(&mut self) -> Result<&mut Value<'a>, String> {
        let top = *self.stack.last().ok_or_else(underflow)?;
        self.values.get_mut(top as usize).ok_or_else(underflow)
    }

    fn since_mark(&mut self) -> Result<Vec<Id>, String> {
        let mark = self.marks.pop().filter(|mark| *mark <= self.stack.len()).ok_or_else(underflow)?;
        Ok(self.stack.split_off(mark))
    }

    fn append(&mut self, items: Vec<Id>) -> Result<(), String> {
        match self.top()? {
            Value::List(list) => list.extend(items),
            _ => return Err("something is appended to what is not a list".to_owned()),
        }
        Ok(())
    }

    fn set(&mut self, items: Vec<Id>) -> Result<(), String> {
        let Value::Dict(dict) = self.top()? else { return Err("a key is set in what is not a dict".to_owned()) };
        let pairs = items.chunks_exact(2);
        if !pairs.remainder().is_empty() {
            return Err("a key in it has no value".to_owned());
        }
        dict.extend(pairs.map(|pair| (pair[0], pair[1])));
        Ok(())
    }

    fn memorise(&mut self) -> Result<(), String> {
        let opcode = self.bytes[self.opcode];
        let key = match opcode {
            b'q' | b'h' => u32::from(self.byte()?),
            b'r' | b'j' => u32::from_le_bytes(self.array()?),
            _ => self.memo.len() as u32,
        };
        if matches!(opcode, b'h' | b'j') {
            let id = *self.memo.get(&key).ok_or_else(|| format!("it recalls value {key}, which it never kept"))?;
            self.stack.push(id);
        } else {
            let top = *self.stack.last().ok_or_else(underflow)?;
            self.memo.insert(key, top);
        }
        Ok(())
    }

    fn push_global(&mut self, module: &str, name: &str) -> Result<(), String> {
        let global = match (module, name) {
            ("collections", "OrderedDict") => Global::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2" | "_rebuild_tensor") => Global::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Global::RebuildParameter,
            ("torch", "Size") => Global::Size,
            ("torch", name) => Global::Storage(storage(name).ok_or_else(|| forbidden(module, name))?),
            _ => return Err(forbidden(module, name)),
        };
        self.push(Value::Global(global));
        Ok(())
    }

    /// A call of what lies below its arguments on the stack.
    fn call(&mut self) -> Result<(), String> {
        let (arguments, callee) = (self.pop()?, self.pop()?);
        let Some(Value::Global(global)) = self.values.get(callee as usize) else {
            return Err("it calls what is not a name".to_owned());
        };
        let Some(Value::Tuple(arguments)) = self.values.get(arguments as usize) else {
            return Err("the arguments of a call are not a tuple".to_owned());
        };
        let value = match (global, arguments.as_slice()) {
            (Global::OrderedDict, []) => Value::Dict(Vec::new()),
            (Global::RebuildTensor, [storage, offset, size, strides, ..]) => {
                Value::Tensor(Tensor { storage: *storage, offset: *offset, size: *size, strides: *strides })
            }
            (Global::RebuildParameter, [data, ..]) => {
                self.stack.push(*data);
                return Ok(());
            }
            (Global::Size, [sizes]) => {
                self.stack.push(*sizes);
                return Ok(());
            }
            (global, arguments) => {
                return Err(format!("it calls {global:?} with {} arguments, which makes no tensor", arguments.len()));
            }
        };
        self.push(value);
        Ok(())
    }

    /// The attributes of an object. State dicts carry some that say nothing about the tensors.
    fn build(&mut self) -> Result<(), String> {
        self.pop()?;
        match self.top()? {
            Value::Dict(_) => Ok(()),
            _ => Err("it sets attributes of what is not a dict".to_owned()),
        }
    }
}

fn underflow() -> String {
    "it takes more from its stack than it put there".to_owned()
}

fn forbidden(module: &str, name: &str) -> String {
    format!(
        "it uses {module}.{name}, which could run code; a state dict of tensors only is read (torch.save(model.state_dict(), ...))"
    )
}

fn unknown(opcode: u8) -> String {
    let name = match opcode {
        b'i' => "INST, which makes an object of any class".to_owned(),
        b'o' => "OBJ, which makes an object of any class".to_owned(),
        b'\x92' => "NEWOBJ_EX, which makes an object of any class".to_owned(),
        b'\x82'..=b'\x84' => "EXT, a name from a registry of the process that wrote it".to_owned(),
        b'I' | b'L' | b'F' | b'S' | b'V' | b'P' | b'd' | b'l' | b'g' | b'p' => {
            format!("'{}', of the text format that PyTorch does not write", opcode as char)
        }
        other => format!("0x{other:02x}, which a state dict does not need"),
    };
    format!("it has the opcode {name}")
}

/// The element type of a storage's class.
fn storage(class: &str) -> Option<Dtype> {
    Some(match class {
        "FloatStorage" => Dtype::F32,
        "DoubleStorage" => Dtype::F64,
        "HalfStorage" => Dtype::F16,
        "BFloat16Storage" => Dtype::BF16,
        "LongStorage" => Dtype::I64,
        "IntStorage" => Dtype::I32,
        "ShortStorage" => Dtype::I16,
        "CharStorage" => Dtype::I8,
        "ByteStorage" => Dtype::U8,
        "BoolStorage" => Dtype::BOOL,
        _ => return None,
    })
}

#[cfg(test)]
#[path = "pickle_tests.rs"]
mod tests;
