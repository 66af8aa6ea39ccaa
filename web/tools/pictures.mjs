// node tools/pictures.mjs PAGE-WITH-TOKEN RECORD-ADDRESS FOLDER: pictures of the records list, of a record, of its expected error and of its bite.
import { chromium } from "playwright-core";

const [page, record, folder] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: [
    ...(process.getuid() === 0 ? ["--no-sandbox"] : []), // Chromium refuses its sandbox to root.
    "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    "--disable-background-networking", "--disable-component-update", "--disable-quic", "--disable-sync",
  ],
});
const tab = await browser.newPage({ viewport: { width: 1280, height: 800 } });
await tab.goto(page);
await tab.waitForSelector(".card");
await tab.waitForTimeout(1500); // the thumbnails; the event stream never lets the network fall idle
await tab.screenshot({ path: `${folder}/records.png` });
await tab.goto(record);
await tab.waitForSelector(".views", { timeout: 60_000 });
await tab.waitForSelector(".notice progress", { state: "detached", timeout: 60_000 });
await tab.waitForTimeout(2000); // the camera comes to rest
await tab.screenshot({ path: `${folder}/record.png` });
const accuracy = tab.locator(".tools button", { hasText: "Accuracy" });
await accuracy.click();
await tab.waitForTimeout(1000);
await tab.screenshot({ path: `${folder}/accuracy.png` });
await accuracy.click();
const bite = tab.locator(".tools button", { hasText: "Bite" });
if ((await bite.count()) > 0) {
  for (const scan of await tab.locator(".views", { hasText: "Bite" }).all()) await scan.getByText("Hidden").click();
  await bite.click();
  await tab.locator(".tools button", { hasText: "Side by side" }).click();
  await tab.waitForTimeout(2000);
  await tab.screenshot({ path: `${folder}/bite.png` });
}
await browser.close();
