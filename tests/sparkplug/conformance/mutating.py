"""How a transcript is made to break a rule: one thing in it is changed, dropped, repeated or moved."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from conformance.packets import Connect, Packet, Publish, Will
from conformance.reading import Message, parse
from conformance.transcript import Event, Looked, Passed, Transcript

Mutate = Callable[[Transcript], Transcript]
Where = Callable[[Message], bool]


@dataclass(frozen=True)
class Mutation:
    """A seeded violation: `name` says what is wrong, `breaks` which assertions (without `tck-id-`) it must break."""

    name: str
    subject: str
    breaks: tuple[str, ...]
    mutate: Mutate


def said(transcript: Transcript, kind: str, where: Where = lambda _: True, *, sent: bool = True) -> list[int]:
    """Places of messages of this kind that the subject says, or hears."""
    found = []
    for index, event in transcript.packets(Publish, sent=sent):
        message = Message(index, event.at, event.packet)  # type: ignore[arg-type]  # `packets` gives what it is asked for
        if message.kind == kind and where(message):
            found.append(index)
    return found


def at(transcript: Transcript, index: int, *events: Event) -> Transcript:
    """The event at that place replaced by `events`; by nothing when there are none."""
    return replace(transcript, events=(*transcript.events[:index], *events, *transcript.events[index + 1 :]))


def passed(transcript: Transcript, index: int) -> Passed:
    """The packet at that place."""
    event = transcript.events[index]
    assert isinstance(event, Passed)
    return event


def edited(publish: Publish, edit: Callable[[Any], object]) -> Publish:
    """The message with its payload changed by `edit`, which gets a copy as protobuf."""
    message = type(parse(publish.payload))()
    message.CopyFrom(parse(publish.payload))
    edit(message)
    return replace(publish, payload=message.SerializeToString())


def of_node(name: str) -> Where:
    """Whether a message is of this edge node, given as group/node."""
    return lambda message: message.levels[3] == name.split("/")[1]


# ── what can be done to a transcript ──


def publish(kind: str, change: Callable[[Publish], Publish], n: int = 0, where: Where = lambda _: True, *, sent: bool = True) -> Mutate:
    """Change one message of the kind, the `n`th that fits."""

    def mutate(transcript: Transcript) -> Transcript:
        index = said(transcript, kind, where, sent=sent)[n]
        event = passed(transcript, index)
        return at(transcript, index, replace(event, packet=change(event.packet)))  # type: ignore[arg-type]

    return mutate


def fields(kind: str, n: int = 0, **changed: Any) -> Mutate:  # noqa: ANN401
    """Change fields of one message: topic, payload, qos, retain."""
    return publish(kind, lambda one: replace(one, **changed), n)


def payload(kind: str, edit: Callable[[Any], object], n: int = 0, where: Where = lambda _: True) -> Mutate:
    """Change the payload of one message."""
    return publish(kind, lambda one: edited(one, edit), n, where)


def topic(kind: str, old: str, new: str, n: int = 0) -> Mutate:
    """Change the topic of one message."""
    return publish(kind, lambda one: replace(one, topic=one.topic.replace(old, new)), n)


def drop(kind: str, n: int = 0, where: Where = lambda _: True, *, sent: bool = True) -> Mutate:
    """Leave out one message."""
    return lambda transcript: at(transcript, said(transcript, kind, where, sent=sent)[n])


def drop_all(kind: str, where: Where = lambda _: True, *, sent: bool = True) -> Mutate:
    """Leave out all messages of the kind."""

    def mutate(transcript: Transcript) -> Transcript:
        gone = set(said(transcript, kind, where, sent=sent))
        return replace(transcript, events=tuple(event for index, event in enumerate(transcript.events) if index not in gone))

    return mutate


def move(kind: str, other: str, n: int = 0, m: int = 0) -> Mutate:
    """The `n`th message of the kind comes right before the `m`th of another kind."""

    def mutate(transcript: Transcript) -> Transcript:
        source = said(transcript, kind)[n]
        target = said(transcript, other)[m]
        event = passed(transcript, source)
        there = passed(transcript, target)
        moved = replace(event, line=there.line, server=there.server, at=there.at)
        events = [one for index, one in enumerate(transcript.events) if index != source]
        events.insert(target if target < source else target - 1, moved)
        return replace(transcript, events=tuple(events))

    return mutate


def repeat(kind: str, change: Callable[[Publish], Publish], n: int = 0, where: Where = lambda _: True) -> Mutate:
    """One message comes a second time, changed."""

    def mutate(transcript: Transcript) -> Transcript:
        index = said(transcript, kind, where)[n]
        event = passed(transcript, index)
        return at(transcript, index, event, replace(event, packet=change(event.packet)))  # type: ignore[arg-type]

    return mutate


def packet(kind: type[Packet], n: int = 0, *, sent: bool = True, **changed: Any) -> Mutate:  # noqa: ANN401
    """Change fields of one packet of another kind, the `n`th."""

    def mutate(transcript: Transcript) -> Transcript:
        index, event = list(transcript.packets(kind, sent=sent))[n]
        return at(transcript, index, replace(event, packet=replace(event.packet, **changed)))

    return mutate


def without(kind: type[Packet], n: int = 0, *, sent: bool = True) -> Mutate:
    """Leave out one packet of another kind."""
    return lambda transcript: at(transcript, list(transcript.packets(kind, sent=sent))[n][0])


def will(change: Callable[[Will], Will | None], n: int = 0) -> Mutate:
    """Change the Will of one CONNECT; None takes it away."""

    def mutate(transcript: Transcript) -> Transcript:
        index, event = list(transcript.packets(Connect))[n]
        assert isinstance(event.packet, Connect)
        assert event.packet.will is not None
        return at(transcript, index, replace(event, packet=replace(event.packet, will=change(event.packet.will))))

    return mutate


def will_payload(edit: Callable[[Any], object], n: int = 0) -> Mutate:
    """Change the payload of one Will."""
    return will(lambda one: replace(one, payload=edited(Publish(one.topic, one.payload, 1, retain=False), edit).payload), n)


def looked(after: str, **facts: Any) -> Mutate:  # noqa: ANN401
    """Change what the database says."""

    def change(event: Event) -> Event:
        return replace(event, facts={**event.facts, **facts}) if isinstance(event, Looked) and event.after == after else event

    return lambda transcript: transcript.changed(change)


def chain(*mutates: Mutate) -> Mutate:
    """One after the other."""

    def mutate(transcript: Transcript) -> Transcript:
        for one in mutates:
            transcript = one(transcript)
        return transcript

    return mutate


# ── what can be done to a payload ──


def named(message: Any, name: str) -> Any:  # noqa: ANN401
    """The metric of that name in a payload."""
    return next(one for one in message.metrics if one.name == name)


def setting(name: str, /, **changed: Any) -> Callable[[Any], None]:  # noqa: ANN401
    """Set fields of the metric of that name."""

    def edit(message: Any) -> None:  # noqa: ANN401
        for field, value in changed.items():
            setattr(named(message, name), field, value)

    return edit


def delete(message: Any, name: str) -> None:  # noqa: ANN401
    """Take the metric of that name out of a payload."""
    kept = [one for one in message.metrics if one.name != name]
    del message.metrics[:]
    message.metrics.extend(kept)


def reverse(items: Any) -> None:  # noqa: ANN401
    """Turn a repeated field around."""
    turned: Sequence[Any] = list(items)[::-1]
    del items[:]
    items.extend(turned)
