# Each thread reads the requests itself that it answers: with QUEUED set, which is puma's default, another
# thread does that for all.
queue_requests !ENV['QUEUED'].nil?
