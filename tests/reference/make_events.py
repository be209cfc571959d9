"""Writes events.tfevents: a few events as TensorBoard's own record writer frames them.

    python make_events.py

Made with tensorboard 2.21.0. `src/train/run/events/mod.rs` makes the same events.
"""
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter


def at(quarter):
    return 1_764_000_000 + quarter * 0.25


def scalars(quarter, step, **values):
    value = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
    return Event(wall_time=at(quarter), step=step, summary=Summary(value=value))


events = [
    Event(wall_time=at(0), file_version="brain.Event:2"),
    Event(wall_time=at(1), step=41, session_log=SessionLog(status=SessionLog.START)),
    scalars(2, 41, train_loss=0.5, learning_rate=2e-5),
    scalars(3, 300, mrr=float("nan")),
    scalars(4, 0, größe=-1.25),
]
with open(Path(__file__).with_name("events.tfevents"), "wb") as file:
    writer = RecordWriter(file)
    for event in events:
        writer.write(event.SerializeToString())
