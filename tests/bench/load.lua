-- The requests that wrk sends: load.lua KIND PROMPT_BYTES TENANTS
--   plain    one chat completion, the same bytes each time
--   stream   the same as a stream with usage
--   varied   the head an OpenAI client sends, in which id, trace and length differ from request to request
--   tenants  plain, each with the key of one of TENANTS tenants, drawn at random
local kind, prompt
local count = 0

local function body_of(text)
   local stream = ""
   if kind == "stream" then stream = ',"stream":true,"stream_options":{"include_usage":true}' end
   return '{"model":"m","messages":[{"role":"user","content":"' .. text .. '"}],"max_tokens":64,' ..
      '"service_tier":"auto"' .. stream .. '}'
end

local function varied()
   count = count + 1
   local body = body_of(string.sub(prompt, 1, #prompt - count % 97))
   return string.format(
      "POST /v1/chat/completions HTTP/1.1\r\nHost: %s:%s\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n" ..
      "Connection: keep-alive\r\nAccept: application/json\r\nContent-Type: application/json\r\n" ..
      "User-Agent: OpenAI/Python 2.8.1\r\nX-Stainless-Lang: python\r\nX-Stainless-Package-Version: 2.8.1\r\n" ..
      "X-Stainless-OS: Linux\r\nX-Stainless-Arch: x64\r\nX-Stainless-Runtime: CPython\r\n" ..
      "X-Stainless-Runtime-Version: 3.11.2\r\nAuthorization: Bearer sk-0123456789abcdef0123456789abcdef\r\n" ..
      "X-Stainless-Async: async:asyncio\r\nx-stainless-retry-count: 0\r\nx-stainless-read-timeout: 600\r\n" ..
      "x-request-id: 7f9c24e8-3b12-4fef-91e0-%012d\r\n" ..
      "traceparent: 00-4bf92f3577b34da6a3ce%012x-00f067aa%08x-01\r\nContent-Length: %d\r\n\r\n%s",
      wrk.host, wrk.port, count, count, count, #body, body)
end

function init(arguments)
   kind = arguments[1]
   local bytes = tonumber(arguments[2])
   local words = "The quick brown fox jumps over the lazy dog. "
   prompt = string.sub(string.rep(words, math.ceil(bytes / #words)), 1, bytes)
   if kind == "varied" then
      request = varied
      return
   end
   local headers = {["Content-Type"] = "application/json", ["Host"] = wrk.host .. ":" .. wrk.port}
   local wholes = {}
   for n = 1, math.max(1, tonumber(arguments[3])) do
      if kind == "tenants" then
         headers["Authorization"] = string.format("Bearer sk-bench-0123456789abcdef-%05d", n - 1)
      end
      wholes[n] = wrk.format("POST", nil, headers, body_of(prompt))
   end
   local last = #wholes
   request = function() return wholes[math.random(last)] end
end
