<?php

declare(strict_types=1);

namespace Rupor\Symfony;

use Rupor\Client;
use Symfony\Component\Notifier\Exception\LogicException;
use Symfony\Component\Notifier\Exception\RuntimeException;
use Symfony\Component\Notifier\Exception\UnsupportedMessageTypeException;
use Symfony\Component\Notifier\Message\ChatMessage;
use Symfony\Component\Notifier\Message\MessageInterface;
use Symfony\Component\Notifier\Message\PushMessage;
use Symfony\Component\Notifier\Message\SentMessage;
use Symfony\Component\Notifier\Transport\TransportInterface;

/**
 * Sends a chat message as its text and a push message as `{"subject": …, "content": …}` to whom its `RuporOptions` name.
 */
final class RuporTransport implements TransportInterface
{
    /** @param string $address what the transport is called in messages: no key is in it */
    public function __construct(private readonly Client $client, private readonly string $address)
    {
    }

    public function __toString(): string
    {
        return "rupor($this->address)";
    }

    public function supports(MessageInterface $message): bool
    {
        return ($message instanceof ChatMessage || $message instanceof PushMessage)
            && ($message->getOptions() === null || $message->getOptions() instanceof RuporOptions);
    }

    /**
     * @throws LogicException   where the message does not say for whom it is
     * @throws RuntimeException where the gateway did not take it; nobody being there is no error
     */
    public function send(MessageInterface $message): ?SentMessage
    {
        if (!$this->supports($message)) {
            throw new UnsupportedMessageTypeException(self::class, ChatMessage::class . '" or "' . PushMessage::class, $message);
        }
        $target = $message->getOptions()?->toArray() ?? [];
        if ($target === []) {
            throw new LogicException('say for whom the message is: RuporOptions::user(), users(), channel() or all()');
        }
        $content = $message instanceof PushMessage
            ? ['subject' => $message->getSubject(), 'content' => $message->getContent()]
            : $message->getSubject();
        [$result] = $this->client->batch([$target + ['message' => $content]]);
        if (!$result->ok) {
            throw new RuntimeException("rupor did not take the message: $result->error ($result->code)");
        }
        return new SentMessage($message, (string) $this);
    }
}
