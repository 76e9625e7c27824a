# One process of a contestant on Ruby: `main.rb prepare|publisher|worker <driver> <config>`.
#
# It speaks as role/main.ts does. What a driver has to have is in driver.ts, but that nothing here is asynchronous:
# `Driver.publisher(config)` gives an object with `publish(handler, data)` and `publish_many(handler, list)`, and
# `Driver.worker(config, handlers, ready)` calls `ready` when it takes tasks, and does not return.

require "json"
require_relative "publishing"
require_relative "reporter"

def say(message)
  $stdout.syswrite("@ #{JSON.generate(message)}\n")
end

role, path, config_text = ARGV
config = JSON.parse(config_text, symbolize_names: true)
require path

case role
when "prepare"
  # Nothing is made beforehand.
when "publisher"
  publisher = Driver.publisher(config)
  say({ ready: true })
  $stdin.each_line { |line| say(Publishing.publish(publisher, JSON.parse(line, symbolize_names: true))) }
when "worker"
  Thread.new do
    $stdin.read
    exit!(0)
  end
  Driver.worker(config, Handlers.new(config[:reports]), -> { say({ ready: true }) })
else
  raise ArgumentError, "there is no role #{role}"
end
