"""An own checker over the published assertions of Sparkplug B 3.0: what our edge node and our host application do, seen on the wire.

A tap between a client and the broker writes down every MQTT packet, an observer what the broker delivers; `edge_play` and `host_play`
provoke what the assertions talk about. The checks are pure functions over those transcripts, `assertions.tsv` says which check answers
which assertion. It is no certification and does not replace the specification's own test kit.
"""
