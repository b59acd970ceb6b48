//! The threads that make a layer: workers, and the assembler behind them.
//!
//! The caller hands in units; consecutive ones form a batch, which one worker turns into arenas.
//! The assembler takes the batches' arenas in order. Every queue is bounded, so a layer of any size
//! takes a fixed amount of memory. When one of the threads fails, all others end, and
//! [`Pipeline::finish`] tells the first failure.

use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use crate::arena::{Arena, Arenas};
use crate::assembler::{Assembled, Assembler};
use crate::early_sync::NewObjects;
use crate::error::{Error, Result};
use crate::layer_writer::WriterOptions;
use crate::progress::Progress;
use crate::store::Store;
use crate::worker::{self, Batch, Context, Unit};

/// Batches that wait for a worker, and for the assembler.
const QUEUE: usize = 16;
/// A batch is complete when its units have about so many tar bytes,
const BATCH_BYTES: u64 = 384 << 10;
/// or so many units.
const BATCH_UNITS: usize = 256;

type Output = Receiver<Result<Arena>>;

/// A running pipeline.
pub(crate) struct Pipeline {
    units: Vec<Unit>,
    bytes: u64,
    number: u64,
    batches: Option<SyncSender<Batch>>,
    outputs: Option<SyncSender<Output>>,
    workers: Vec<JoinHandle<()>>,
    assembler: Option<JoinHandle<Result<Assembler>>>,
    arenas: Arenas,
    new_objects: Arc<NewObjects>,
}

impl Pipeline {
    /// Starts the threads.
    pub(crate) fn start(store: &Store, options: &WriterOptions) -> Result<Self> {
        let (batches, queue) = sync_channel(QUEUE);
        let (outputs, order) = sync_channel(QUEUE);
        let context = Context {
            store: store.clone(),
            arenas: Arenas::new(),
            cancel: Arc::clone(&options.cancel),
            new_objects: Arc::new(NewObjects::new(store)),
        };
        let mut pipeline = Self {
            units: Vec::new(),
            bytes: 0,
            number: 0,
            batches: Some(batches),
            outputs: Some(outputs),
            workers: Vec::new(),
            assembler: None,
            arenas: context.arenas.clone(),
            new_objects: Arc::clone(&context.new_objects),
        };
        let assembler = Assembler::new(store.clone());
        let arenas = context.arenas.clone();
        let progress = Arc::clone(&options.progress);
        let assemble = move || assemble(assembler, &arenas, &order, &progress);
        pipeline.assembler = Some(spawn("fastlayer-assemble", assemble)?);
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..options.workers.max(1) {
            let (context, queue) = (context.clone(), Arc::clone(&queue));
            let work = move || worker::run(&context, || next(&queue));
            pipeline.workers.push(spawn("fastlayer-work", work)?);
        }
        Ok(pipeline)
    }

    /// Adds a unit of about `bytes` tar bytes.
    pub(crate) fn push(&mut self, unit: Unit, bytes: u64) -> Result<()> {
        self.units.push(unit);
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes >= BATCH_BYTES || self.units.len() >= BATCH_UNITS {
            return self.flush();
        }
        Ok(())
    }

    /// The number of the batch that the next unit will be part of.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// An empty arena for a unit of a batch.
    pub(crate) fn arena(&mut self, batch: u64) -> Result<Arena> {
        self.arenas.take(batch).map_err(|_| self.failure())
    }

    /// Hands over the units that are waiting for company.
    pub(crate) fn flush(&mut self) -> Result<()> {
        if self.units.is_empty() {
            return Ok(());
        }
        let (output, receiver): (Sender<Result<Arena>>, Output) = channel();
        let batch = Batch {
            number: self.number,
            units: std::mem::take(&mut self.units),
            output,
        };
        self.number += 1;
        self.bytes = 0;
        let ordered = self.outputs.as_ref().map(|order| order.send(receiver));
        let queued = self.batches.as_ref().map(|queue| queue.send(batch));
        match (ordered, queued) {
            (Some(Ok(())), Some(Ok(()))) => Ok(()),
            _ => Err(self.failure()),
        }
    }

    /// Waits for everything; gives the layer's assembler and the bytes of new objects.
    pub(crate) fn finish(mut self) -> Result<(Assembler, u64)> {
        self.flush()?;
        let assembler = self.join()?;
        Ok((assembler, self.new_objects.bytes()))
    }

    /// Why the pipeline does not take any more.
    pub(crate) fn failure(&mut self) -> Error {
        match self.join() {
            Err(error) => error,
            // It failed before, and told so then.
            Ok(_) => Error::Interrupted,
        }
    }

    fn join(&mut self) -> Result<Assembler> {
        self.batches = None;
        self.outputs = None;
        let result = match self.assembler.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => Err(Error::Interrupted),
        };
        for worker in self.workers.drain(..) {
            if let Err(panic) = worker.join() {
                std::panic::resume_unwind(panic);
            }
        }
        result
    }
}

impl Drop for Pipeline {
    /// A layer that is given up: the threads end with what they are at.
    fn drop(&mut self) {
        self.arenas.close();
        self.batches = None;
        self.outputs = None;
        self.units.clear();
        if let Some(assembler) = self.assembler.take() {
            let _ = assembler.join();
        }
        for worker in self.workers.drain(..) {
            let _ = worker.join();
        }
    }
}

fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>> {
    Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map_err(|source| Error::io("cannot start a thread", source))
}

fn next(queue: &Mutex<Receiver<Batch>>) -> Option<Batch> {
    let queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
    queue.recv().ok()
}

fn assemble(
    mut assembler: Assembler,
    arenas: &Arenas,
    order: &Receiver<Output>,
    progress: &Progress,
) -> Result<Assembler> {
    let result = (|| {
        for (turn, output) in (0..).zip(order) {
            arenas.set_turn(turn);
            for arena in output {
                let mut arena = arena?;
                assembler.take(&mut arena)?;
                progress.add(arena.bytes().len() as u64);
                arenas.give_back(arena);
            }
        }
        Ok(())
    })();
    if result.is_err() {
        arenas.close();
    }
    result.map(|()| assembler)
}

/// Ends a layer: its recipe's parts and its index.
pub(crate) fn complete(pipeline: Pipeline, raw_reason: Option<String>) -> Result<(Assembled, u64)> {
    let (assembler, added) = pipeline.finish()?;
    Ok((assembler.finish(raw_reason)?, added))
}
