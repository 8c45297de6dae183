-- What wrk sends: the bodies of a file in turn, one JSON a line. What it writes down, as JSON in another file.
-- wrk corrects its percentiles for requests that it never sent; with one connection the plain times are taken here.
--   wrk -t1 -c1 -d5s -s load.lua URL -- BODIES OUT
local ffi = require("ffi")
ffi.cdef [[
  typedef struct { long seconds; long nanoseconds; } moment;
  int clock_gettime(int clock, moment *now);
]]
local MONOTONIC, now = 1, ffi.new("moment")

local function microseconds()
  ffi.C.clock_gettime(MONOTONIC, now)
  return tonumber(now.seconds) * 1e6 + tonumber(now.nanoseconds) / 1e3
end

local worker
function setup(thread)
  worker = thread
end

function init(arguments)
  bodies, at, sent, times, to = {}, 0, 0, {}, arguments[2]
  for line in io.lines(arguments[1]) do
    bodies[#bodies + 1] = wrk.format("POST", nil, { ["Content-Type"] = "application/json", ["Accept"] = arguments[3] or "application/jsonlines" }, line)
  end
end

function request()
  at = at % #bodies + 1
  sent = microseconds()
  return bodies[at]
end

function response(status)
  times[#times + 1] = microseconds() - sent
end

function done(summary)
  local times, wrong = worker:get("times"), summary.errors
  table.sort(times)
  local function share(part) return times[math.max(1, math.ceil(#times * part))] or 0 end
  local file = assert(io.open(worker:get("to"), "w"))
  file:write(string.format(
    '{"requests": %d, "seconds": %.6f, "failed": %d, "p50_us": %.1f, "p99_us": %.1f}\n',
    summary.requests, summary.duration / 1e6,
    wrong.connect + wrong.read + wrong.write + wrong.status + wrong.timeout, share(0.5), share(0.99)
  ))
  file:close()
end
