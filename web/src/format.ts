// How values are shown to people, in their browser's language.

const STAGES: Record<string, string> = {
  upper: 'Upper jaw',
  lower: 'Lower jaw',
  'bite-left': 'Bite, left',
  'bite-right': 'Bite, right',
  'preop-upper': 'Pre-op upper',
  'preop-lower': 'Pre-op lower',
  'scan-body-upper': 'Scan body upper',
  'scan-body-lower': 'Scan body lower',
  'face-neutral': 'Face, neutral',
  'face-smile': 'Face, smile',
  'face-retracted': 'Face, retracted',
};

export const stageName = (stage: string) => STAGES[stage] ?? stage;
export const kindName = (kind: string) => (kind === 'face' ? 'Face' : 'Intraoral');
export const count = (value: number) => value.toLocaleString();
export const counted = (value: number, one: string, many: string) => `${count(value)} ${value === 1 ? one : many}`;

export function moment(rfc3339: string): string {
  const time = new Date(rfc3339);
  return Number.isNaN(time.getTime())
    ? rfc3339
    : time.toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' });
}

// A date of birth has no time zone: noon keeps it the same day everywhere.
export function day(iso: string): string {
  const time = new Date(`${iso}T12:00:00`);
  return Number.isNaN(time.getTime()) ? iso : time.toLocaleDateString(undefined, { dateStyle: 'medium' });
}

export function bytes(size: number): string {
  if (size < 1000) return `${size} B`;
  if (size < 1e6) return `${(size / 1e3).toFixed(0)} kB`;
  return `${(size / 1e6).toFixed(1)} MB`;
}

export function share(part: number, whole: number): string {
  return whole === 0 ? '' : `${((100 * part) / whole).toFixed(1)} %`;
}
