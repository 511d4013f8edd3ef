# The Ruby twin of desk.py, for a Rack server (puma): it asks others while it answers, in the thread that
# answers.
require 'net/http'
require 'pg'
require 'uri'
require 'zlib'

DOWN = URI(ENV.fetch('DOWN'))
PERMUTED = ENV.key?('PERMUTED')

# What is kept for each thread, not for each fiber.
def own(name)
  thread = Thread.current
  thread.thread_variable_get(name) || yield.tap { |made| thread.thread_variable_set(name, made) }
end

def session
  own(:session) do
    http = Net::HTTP.new(DOWN.host, DOWN.port)
    http.keep_alive_timeout = 60
    http.start
  end
end

def database
  own(:database) { PG.connect(host: '127.0.0.1', port: ENV.fetch('POSTGRES'), user: 'postgres') }
end

# The id of another request, if ids are permuted: the last digit is one higher.
def others(call)
  PERMUTED ? call[0..-2] + ((call[-1].to_i + 1) % 10).to_s : call
end

def ask(call, n)
  answer = session.get("/bytes/10?call=#{others(call)}.#{n}")
  raise answer.code unless answer.code == '200'
end

def select(call, n)
  database.exec(%(SELECT 1 AS "call=#{others(call)}.#{n}")).clear
end

# Up to 8 ms, another for each call.
def rest(call, n)
  sleep((Zlib.crc32("#{call}.#{n}") % 8) / 1000.0)
end

def work(call)
  ask(call, 'one')
  rest(call, 'one')
  select(call, 'two')
  ask(call, 'three')
  ["{}"]
end

# An answer that has begun while there is still something to ask.
def pieces(call)
  Enumerator.new do |out|
    out << "begun\n"
    ask(call, 'one')
    rest(call, 'one')
    out << "more\n"
    select(call, 'two')
    out << "done\n"
  end
end

JOBS = Queue.new
# Threads that serve no requests, fewer than there are requests.
HELPERS = Array.new(4) { Thread.new { loop { JOBS.pop.call } } }

# One call of its own, and one by a thread that works for many.
def help_me(call)
  done = Queue.new
  JOBS << -> { ask(call, 'helper'); done << true }
  ask(call, 'one')
  done.pop
  ["{}"]
end

run(lambda do |env|
  call = env['QUERY_STRING'][/call=([^&]*)/, 1]
  body = case env['PATH_INFO']
         when '/work' then work(call)
         when '/pieces' then pieces(call)
         when '/helper' then help_me(call)
         else raise env['PATH_INFO']
         end
  [200, { 'Content-Type' => 'text/plain' }, body]
end)
