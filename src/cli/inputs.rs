//! Inputs of a model, as the command line names them.

use std::path::{Path, PathBuf};

use dlc::runtime::data::{Contents, FORMATS, Format};
use dlc::{DType, Error, Model, Tensor, Tensors};

use super::Failure;

/// The files that arguments name.
pub fn files(arguments: &[String]) -> impl Iterator<Item = PathBuf> {
    arguments.iter().map(|input| PathBuf::from(input.split_once('=').map_or(&**input, |(_, file)| file)))
}

/// Inputs from the command line or standard input.
pub struct Inputs {
    tensors: Tensors,
    /// Those that were read from a table, in f64 until the float type of the model is known.
    of_tables: Vec<String>,
}

impl From<Tensors> for Inputs {
    fn from(tensors: Tensors) -> Self {
        Inputs { tensors, of_tables: vec![] }
    }
}

impl Inputs {
    /// Reads `name=file` arguments, and files of named tensors.
    pub fn read(arguments: &[String]) -> Result<Self, Failure> {
        let mut given = Inputs::from(Tensors::new());
        for argument in arguments {
            match argument.split_once('=') {
                Some((name, file)) => {
                    let tensor = given.tensor(name, Path::new(file))?;
                    given.insert(name, tensor)?;
                }
                None => {
                    let tensors = Tensors::load(argument).map_err(Error::from)?;
                    tensors.into_iter().try_for_each(|(name, tensor)| given.insert(&name, tensor))?;
                }
            }
        }
        Ok(given)
    }

    fn insert(&mut self, name: &str, tensor: Tensor) -> Result<(), Failure> {
        if self.tensors.get(name).is_some() {
            let message = format!("the input `{name}` is given twice");
            return Err(Failure::usage(Error::plain("duplicate-argument", message)));
        }
        self.tensors.insert(name.to_owned(), tensor);
        Ok(())
    }

    fn tensor(&mut self, name: &str, path: &Path) -> Result<Tensor, Failure> {
        let format = Format::of(path).filter(|format| format.writer.is_none());
        match format.map(|format| (format.read)(path)).transpose().map_err(Error::from)? {
            Some(Contents::Tensor(tensor)) => Ok(tensor),
            Some(Contents::Columns(table)) => {
                self.of_tables.push(name.to_owned());
                Ok(table.except(&[""; 0], DType::F64).map_err(Error::from)?)
            }
            Some(Contents::Tensors(_)) | None => {
                let single = FORMATS.iter().filter(|format| format.writer.is_none()).flat_map(|format| format.endings);
                let endings = single.copied().collect::<Vec<_>>().join(", ");
                let message = format!("{}: unknown file extension: expected {endings}", path.display());
                let error = Error::plain("unknown-format", message);
                Err(Failure::usage(error.help("pass a .npz or .safetensors file without `name=`")))
            }
        }
    }

    /// As inputs of a model: columns of tables are converted to its float type.
    pub fn of(self, model: &Model) -> Tensors {
        let Inputs { tensors, of_tables } = self;
        let convert = |(name, tensor): (String, Tensor)| match of_tables.contains(&name) {
            true => (name, tensor.convert(model.dtype())),
            false => (name, tensor),
        };
        tensors.into_iter().map(convert).collect()
    }
}
