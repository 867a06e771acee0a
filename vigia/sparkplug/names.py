"""Names and numbers that both ends of the wire must spell alike."""

NAMESPACE = "spBv1.0"

# ── what Sparkplug B names ──
BD_SEQ = "bdSeq"
REBIRTH = "Node Control/Rebirth"
QUALITY = "Quality"  # property of a metric; absent means GOOD
QUALITY_BAD = 0
QUALITY_UNCERTAIN = 64
QUALITY_GOOD = 192
QUALITY_STALE = 500
ENG_UNIT = "engUnit"  # property: UCUM code
ENG_LOW = "engLow"
ENG_HIGH = "engHigh"
DOCUMENTATION = "documentation"

# ── what Vigía adds, as ordinary metrics and properties ──
SOURCE_TIME = "sourceTime"  # property: what the machine's wrong clock said, milliseconds since 1970 UTC; the timestamp is the right time
KIND = "kind"  # property: what a point is, e.g. measurement, setting, counter, state
SERIAL_NUMBER = "Properties/Serial Number"
MODEL = "Properties/Model"
AGENT_VERSION = "Properties/Agent Version"  # of the gateway's program
CONFIGURATION = "Properties/Configuration"  # SHA-256 of the text that it runs, hexadecimal
EPOCH = "Vigia/Epoch"  # changes only when the edge's buffer itself was lost
BATCH = "Vigia/Batch"  # number of this message's batch within the epoch, from 1
NEWEST = "Vigia/Newest"  # newest batch number given out: a lost tail shows
ACKNOWLEDGED = "Vigia/Acknowledged"  # written by the host: everything up to this number is committed
TOMBSTONE = "Vigia/Tombstone"  # JSON {"epoch", "from", "to", "reason"}: numbers dropped on purpose, both ends included
DEVICE_CONTROL = "Device Control/"  # of a device: how the names of commands begin that write no point of the same name
WRITABLE = "writable"  # property: true for a metric that a DCMD may write; the four below tell within which bounds
WRITE_LOW = "writeLow"  # smallest value taken, in the metric's unit
WRITE_HIGH = "writeHigh"
WRITE_ALLOWED = "writeAllowed"  # JSON list of the only values taken
CRITICAL = "critical"  # true: two different people must have approved it
COMMAND = "Vigia/Command"  # in a DCMD, JSON {"id", "issued_at", "expires_at", "requested_by", "approved_by"}; times in ms since 1970 UTC
COMMAND_RESULT = "Vigia/Command Result"  # JSON {"id", "command", "outcome", "reason", "at"}; outcome is done, refused or failed

HOST_ID = "vigia"

MAX_PAYLOAD_BYTES = 1_000_000
MAX_METRICS = 5_000
