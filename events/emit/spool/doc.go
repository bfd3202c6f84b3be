// Package spool keeps usage events in a folder until the stream has them: a
// queue of records in segment files, written at one end and removed at the
// other a whole segment at a time.
//
// What Append reports as kept has been synced to disk. It survives kill -9 at
// any point and, as far as the disk keeps its word, a power cut. A record that
// was being written then is torn: it was never reported as kept, and is cut off
// when the folder is opened again. A damaged record costs that record alone;
// those after it are found by their checksums.
//
// A segment is removed once everything in it is delivered. A crash before that
// delivers all of it again, so delivery is at least once and in order. Who
// receives the events counts each once, by its source and id.
//
// One process at a time uses a folder, and a lock that ends with the process
// sees to that. The package knows nothing of NATS.
//
// # Folder
//
//	spool.json                the format's version, and what the events belong to
//	lock                      held while a process uses the folder
//	<number>.segment          records, oldest segment first
//	<number>.segment.damaged  a delivered segment that held unreadable bytes, kept for people
//	refused.jsonl             events that can never be delivered, one JSON event a line
package spool
