// The store's WebSocket: tells what changed, comes back by itself when it was cut.

export interface StoreEvent {
  type: 'record-added' | 'ticket-changed' | 'patient-added';
  id: string;
}

const RETRY_MIN_MS = 1000;
const RETRY_MAX_MS = 30000;

export function followEvents(onEvent: (event: StoreEvent) => void, onLink: (up: boolean, again: boolean) => void): void {
  let retryMs = RETRY_MIN_MS;
  let wasUp = false;
  const connect = () => {
    const socket = new WebSocket(`${location.origin.replace(/^http/, 'ws')}/api/v1/events`);
    socket.onopen = () => {
      retryMs = RETRY_MIN_MS;
      onLink(true, wasUp);
      wasUp = true;
    };
    socket.onmessage = (message) => onEvent(JSON.parse(String(message.data)) as StoreEvent);
    socket.onclose = () => {
      onLink(false, wasUp);
      setTimeout(connect, retryMs);
      retryMs = Math.min(RETRY_MAX_MS, retryMs * 2);
    };
  };
  connect();
}
