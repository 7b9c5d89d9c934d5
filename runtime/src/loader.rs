//! Batches of examples, prefetched by a thread of their own.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};

use serde::{Deserialize, Serialize};

use crate::Tensors;
use crate::examples::{Examples, FieldsError, Gather, batch_key};
use crate::shuffle::{Cursor, permute};

/// What to do with the remainder: the examples that do not fill a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Remainder {
    /// Skip them in this epoch; after the next shuffling others are the remainder. For programs with one batch size.
    #[default]
    Drop,
    /// Make them a last, smaller batch, so that every example counts once.
    Keep,
}

/// How examples become batches.
#[derive(Clone, Debug, PartialEq)]
pub struct LoaderOptions {
    /// The batch size.
    pub batch: usize,
    /// The seed of shuffling, or `None` to keep the order of the examples.
    pub shuffle: Option<u64>,
    /// What to do with the remainder.
    pub remainder: Remainder,
    /// Whether the examples are trained on.
    pub training: bool,
    /// The key of the draws of the data, see [`fields_key`](crate::examples::fields_key).
    pub key: i64,
    /// The number of batches to prefetch, at least 1.
    pub prefetch: usize,
    /// The cursor of the first batch.
    pub start: Cursor,
}

impl LoaderOptions {
    /// For training: shuffled, without the remainder.
    pub fn training(batch: usize, seed: u64) -> Self {
        let (shuffle, remainder, start) = (Some(seed), Remainder::Drop, Cursor::default());
        LoaderOptions { batch, shuffle, remainder, training: true, key: 0, prefetch: 2, start }
    }

    /// For evaluation: in order, with the remainder.
    pub fn evaluation(batch: usize) -> Self {
        let (shuffle, remainder, start) = (None, Remainder::Keep, Cursor::default());
        LoaderOptions { batch, shuffle, remainder, training: false, key: 0, prefetch: 2, start }
    }
}

/// Some examples of one epoch.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The fields, with the examples along the first axis.
    pub fields: Tensors,
    /// Number of examples.
    pub count: usize,
    pub cursor: Cursor,
    /// Whether it is the last of its epoch.
    pub last: bool,
}

/// An endless sequence of batches, epoch after epoch.
///
/// The sequence is a function of the examples and the options only: a loader that starts at a cursor yields the same batches as
/// another one from there on.
#[derive(Debug)]
pub struct Loader {
    next: Cursor,
    batches: u64,
    // The receiver is dropped before the thread is joined: the thread ends when it can no longer send.
    ready: Option<Receiver<Result<Batch, FieldsError>>>,
    used: Sender<Tensors>,
    worker: Option<JoinHandle<()>>,
}

/// Fewer examples than a batch has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{count} examples do not fill one batch of {batch}")]
pub struct TooFew {
    pub count: usize,
    pub batch: usize,
}

/// Why batches cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoaderError {
    #[error(transparent)]
    TooFew(#[from] TooFew),
    #[error(transparent)]
    Fields(#[from] FieldsError),
}

impl Loader {
    /// Batches of the examples at these positions.
    ///
    /// # Errors
    /// If they do not fill a single batch, or there is no program for their fields.
    ///
    /// # Panics
    /// If a position is not below the number of examples.
    pub fn new(
        examples: Arc<Examples>,
        positions: Option<Vec<usize>>,
        options: &LoaderOptions,
    ) -> Result<Self, LoaderError> {
        let positions = positions.unwrap_or_else(|| (0..examples.count()).collect());
        assert!(positions.iter().all(|&p| p < examples.count()), "positions of examples that do not exist");
        let (count, batch) = (positions.len(), options.batch);
        let batches = match options.remainder {
            Remainder::Drop => count.checked_div(batch),
            Remainder::Keep => (batch > 0).then(|| count.div_ceil(batch)),
        };
        let batches = batches.filter(|&n| n > 0).ok_or(TooFew { count, batch })? as u64;
        let (ready_sender, ready) = sync_channel(options.prefetch.max(1));
        let (used, used_receiver) = channel();
        let start = Cursor { epoch: options.start.epoch, batch: options.start.batch.min(batches) };
        let next = if start.batch == batches { Cursor { epoch: start.epoch + 1, batch: 0 } } else { start };
        let remainder = Some(count % batch).filter(|&remainder| remainder > 0 && options.remainder == Remainder::Keep);
        let sizes: Vec<usize> = (count >= batch).then_some(batch).into_iter().chain(remainder).collect();
        let gather = Gather::new(&examples, &sizes, options.training)?;
        let (shuffle, key) = (options.shuffle, options.key);
        let maker = Maker { examples, gather, positions, batch, batches, shuffle, key, next };
        let worker = thread::Builder::new()
            .name("dlc-loader".into())
            .spawn(move || maker.run(&ready_sender, &used_receiver))
            .expect("a system that runs this process can start a thread");
        Ok(Loader { next, batches, ready: Some(ready), used, worker: Some(worker) })
    }

    /// Batches of one epoch.
    pub fn batches_per_epoch(&self) -> u64 {
        self.batches
    }

    /// The cursor of the next batch; a loader that starts there continues this one.
    pub fn cursor(&self) -> Cursor {
        self.next
    }

    /// The next batch. Waits if the step was faster than prefetching.
    ///
    /// # Errors
    /// If its fields could not be computed.
    pub fn next_batch(&mut self) -> Result<Batch, FieldsError> {
        let received = self.ready.as_ref().and_then(|ready| ready.recv().ok());
        let Some(batch) = received else {
            // The thread sends until an error or a panic; a panic is propagated here.
            match self.worker.take().map(JoinHandle::join) {
                Some(Err(payload)) => std::panic::resume_unwind(payload),
                _ => unreachable!("the loader's thread ended by itself"),
            }
        };
        let batch = batch?;
        self.next = after(batch.cursor, self.batches);
        Ok(batch)
    }

    /// Returns a batch's memory for reuse.
    pub fn recycle(&self, batch: Batch) {
        // Without a thread there is no later batch, and the memory is simply freed.
        let _ = self.used.send(batch.fields);
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.ready = None;
        if let Some(worker) = self.worker.take() {
            // A panic of the thread is irrelevant now.
            let _ = worker.join();
        }
    }
}

fn after(cursor: Cursor, batches: u64) -> Cursor {
    if cursor.batch + 1 < batches {
        Cursor { batch: cursor.batch + 1, ..cursor }
    } else {
        Cursor { epoch: cursor.epoch + 1, batch: 0 }
    }
}

/// The thread's side of a loader.
struct Maker {
    examples: Arc<Examples>,
    gather: Gather,
    positions: Vec<usize>,
    batch: usize,
    batches: u64,
    shuffle: Option<u64>,
    key: i64,
    next: Cursor,
}

impl Maker {
    fn run(mut self, ready: &SyncSender<Result<Batch, FieldsError>>, used: &Receiver<Tensors>) {
        let mut order = (self.next.epoch, self.order(self.next.epoch));
        // for whole batches, and for the remainder: memory of the other size cannot be reused
        let mut spare: [Vec<Tensors>; 2] = Default::default();
        loop {
            let cursor = self.next;
            if order.0 != cursor.epoch {
                order = (cursor.epoch, self.order(cursor.epoch));
            }
            let begin = cursor.batch as usize * self.batch;
            let positions = &order.1[begin..order.1.len().min(begin + self.batch)];
            for tensors in used.try_iter() {
                let count = tensors.iter().next().and_then(|(_, tensor)| tensor.shape().first().copied());
                spare[usize::from(count == Some(self.batch))].push(tensors);
            }
            let mine = spare[usize::from(positions.len() == self.batch)].pop();
            let (count, last) = (positions.len(), cursor.batch + 1 == self.batches);
            let key = batch_key(self.key, cursor);
            let fields = self.gather.gather(&self.examples, positions, key, mine.unwrap_or_default());
            let failed = fields.is_err();
            if ready.send(fields.map(|fields| Batch { fields, count, cursor, last })).is_err() || failed {
                return;
            }
            self.next = after(cursor, self.batches);
        }
    }

    fn order(&self, epoch: u64) -> Vec<usize> {
        let mut order = self.positions.clone();
        if let Some(seed) = self.shuffle {
            permute(&mut order, seed, epoch);
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::check::CheckError;
    use dlc_ir::Tensor;

    fn examples(count: usize) -> Arc<Examples> {
        let x = Tensor::new([count, 2], (0..2 * count).map(|i| i as f32).collect()).unwrap();
        let y = Tensor::new([count], (0..count).map(|i| i as i64).collect()).unwrap();
        Arc::new(Examples::new([("x", x), ("y", y)].into_iter().collect()).unwrap())
    }

    fn ys(batch: &Batch) -> Vec<i64> {
        let x = batch.fields["x"].as_slice::<f32>().unwrap();
        let y = batch.fields["y"].as_slice::<i64>().unwrap();
        assert_eq!(y.len(), batch.count);
        assert!(y.iter().zip(x.as_chunks::<2>().0).all(|(y, x)| [2.0 * *y as f32, 2.0 * *y as f32 + 1.0] == *x));
        y.to_vec()
    }

    #[test]
    fn an_epoch_has_every_example_at_most_once() {
        let mut loader = Loader::new(examples(23), None, &LoaderOptions::training(5, 1)).unwrap();
        assert_eq!(loader.batches_per_epoch(), 4);
        let mut epochs = Vec::new();
        for epoch in 0..3 {
            let mut seen = Vec::new();
            for i in 0..4 {
                assert_eq!(loader.cursor(), Cursor { epoch, batch: i });
                let batch = loader.next_batch().unwrap();
                assert_eq!((batch.cursor, batch.last), (Cursor { epoch, batch: i }, i == 3));
                seen.extend(ys(&batch));
                loader.recycle(batch);
            }
            epochs.push(seen.clone());
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), 20);
        }
        assert_ne!(epochs[0], epochs[1]);
    }

    #[test]
    fn goes_on_at_any_cursor() {
        let options = LoaderOptions::training(3, 9);
        let mut whole = Loader::new(examples(10), None, &options).unwrap();
        let all: Vec<_> = (0..9).map(|_| (whole.cursor(), ys(&whole.next_batch().unwrap()))).collect();
        for i in 0..9 {
            let options = LoaderOptions { start: all[i].0, ..options.clone() };
            let mut resumed = Loader::new(examples(10), None, &options).unwrap();
            for expected in &all[i..] {
                assert_eq!((resumed.cursor(), ys(&resumed.next_batch().unwrap())), *expected);
            }
        }
    }

    #[test]
    fn evaluation_counts_every_example_once() {
        let mut loader = Loader::new(examples(10), Some(vec![9, 1, 5, 6, 2]), &LoaderOptions::evaluation(2)).unwrap();
        assert_eq!(loader.batches_per_epoch(), 3);
        let batches: Vec<_> = (0..3).map(|_| ys(&loader.next_batch().unwrap())).collect();
        assert_eq!(batches, [vec![9, 1], vec![5, 6], vec![2]]);
    }

    #[test]
    fn what_makes_no_batch_is_an_error() {
        let loader = Loader::new(examples(3), None, &LoaderOptions::training(4, 1));
        assert_eq!(loader.unwrap_err().to_string(), "3 examples do not fill one batch of 4");
        assert!(Loader::new(examples(3), None, &LoaderOptions::training(0, 1)).is_err());
        assert!(Loader::new(examples(3), Some(vec![]), &LoaderOptions::evaluation(4)).is_err());
        let fields = |a: usize, b: usize| -> Tensors {
            let field = |n| Tensor::new([n], vec![0u8; n]).unwrap();
            [("image", field(a)), ("label", field(b))].into_iter().collect()
        };
        assert_eq!(
            Examples::new(fields(1500, 1499)).unwrap_err().to_string(),
            "`image` has 1,500 examples, but `label` has 1,499"
        );
        assert_eq!(Examples::new(fields(0, 0)).unwrap_err(), CheckError::Empty);
        assert_eq!(Examples::new(Tensors::new()).unwrap_err(), CheckError::Empty);
        let scalar = [("x", Tensor::scalar(1f32))].into_iter().collect();
        assert_eq!(Examples::new(scalar).unwrap_err().to_string(), "`x` is a scalar: expected one value per example");
    }
}
