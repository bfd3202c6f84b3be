package stream

import "strings"

// HeaderOperation marks, in the stream under a bucket, a message that deletes
// its key instead of setting it.
const HeaderOperation = "KV-Operation"

// BucketLog is the name of the stream under a key-value bucket.
func BucketLog(bucket string) string { return "KV_" + bucket }

// BucketSubject is the subject of a key in that stream; key may hold wildcards.
func BucketSubject(bucket, key string) string { return bucketPrefix(bucket) + key }

// BucketKey is the key that a subject of that stream stands for.
func BucketKey(bucket, subject string) string {
	return strings.TrimPrefix(subject, bucketPrefix(bucket))
}

func bucketPrefix(bucket string) string { return "$KV." + bucket + "." }

// Deletes reports whether m, of the stream under a bucket, deletes its key.
func (m Message) Deletes() bool { return m.Header.Get(HeaderOperation) != "" }
